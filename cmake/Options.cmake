# What can be switched, and what follows from it for every target.

option(MILLRACE_TESTS "build the tests" ON)
option(MILLRACE_BENCH "build the benchmarks" OFF)
option(MILLRACE_GPU_ONLY "build base/ and gpu/ alone, with their GPU tests and benchmarks" OFF)
option(MILLRACE_FUZZ "build the fuzz targets (needs clang)" OFF)
set(MILLRACE_SANITIZE "" CACHE STRING "sanitizers to build with: address,undefined or thread")
foreach(part DPDK CUDA)
  set(MILLRACE_${part} AUTO CACHE STRING "use ${part}: AUTO (where found), ON (fail without) or OFF")
  set_property(CACHE MILLRACE_${part} PROPERTY STRINGS AUTO ON OFF)
endforeach()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Compile options of every target of ours. GCC 12's -Wrestrict warns of its own std::string (GCC bug
# 105651).
add_library(millrace_options INTERFACE)
target_compile_options(millrace_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
    -Wcast-qual -Wunused -Woverloaded-virtual -Werror
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>>)
target_include_directories(millrace_options INTERFACE ${CMAKE_SOURCE_DIR})

if(MILLRACE_SANITIZE)
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
  if(MILLRACE_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 sees uninitialised values in Beast and fmt that are none, when it looks through the checks.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  if(MILLRACE_SANITIZE MATCHES "thread")
    # Asio's fences are not seen by the thread sanitizer; its queues have mutexes beside them.
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_package(Threads REQUIRED)

if(MILLRACE_FUZZ)
  # Coverage of everything that the targets call, not of the targets alone.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
