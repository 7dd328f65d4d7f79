# CUDA where it is wanted and found: MILLRACE_HAS_CUDA, and millrace_cuda_library().
#
# One program for machines with a GPU and without: the runtime is linked statically and finds the
# driver, if any, when it runs. The kernels are compiled for the architectures named here alone.
set(MILLRACE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "compute capabilities to compile kernels for")
set(MILLRACE_HAS_CUDA OFF)
if(NOT MILLRACE_CUDA STREQUAL "OFF" AND MILLRACE_SANITIZE)
  # The sanitizers' shadow memory and CUDA's address space exclude each other.
  message(STATUS "CUDA: left out of sanitizer builds")
elseif(NOT MILLRACE_CUDA STREQUAL "OFF")
  find_program(MILLRACE_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_PATH PATHS /usr/local/cuda
    PATH_SUFFIXES bin)
  if(MILLRACE_NVCC AND NOT DEFINED CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${MILLRACE_NVCC})
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${MILLRACE_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  include(CheckLanguage)
  if(MILLRACE_NVCC)
    check_language(CUDA)
  endif()
  if(MILLRACE_NVCC AND CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(MILLRACE_HAS_CUDA ON)
    message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION}, for ${MILLRACE_CUDA_ARCHITECTURES}")
  elseif(MILLRACE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MILLRACE_CUDA=ON, but no nvcc was found (looked in PATH and /usr/local/cuda)")
  else()
    message(STATUS "CUDA: not found (nvcc); built without")
  endif()
endif()

# CMake 3.25 knows no CUDA_STANDARD 20: not required, it is ignored without a word, so that the option
# is given by hand. -fmad=false: a product and a sum are rounded
# as the CPU rounds them. A kernel that spills registers is an error. nvcc needs moves that GCC finds
# redundant.
set(MILLRACE_CUDA_OPTIONS -std=c++20 -fmad=false --Werror=all-warnings
  -Xcompiler=-Wall,-Wextra,-Wno-unknown-pragmas,-Wno-redundant-move)

set(MILLRACE_CUDA_NO_SPILLS -Xptxas=-warn-spills,-Werror)

# millrace_cuda_library(NAME SOURCES a.cu … VENDOR c.cu … HEADERS a.cuh … ABSENT b.cc DEPENDS
# modules …): a module of CUDA sources, or of ABSENT where there is no CUDA. Those also named as
# VENDOR hold no kernel of ours: what CUB's kernels spill is CUB's choice. The sources are remembered in
# MILLRACE_CUDA_SOURCES for the emulated build of the tests.
function(millrace_cuda_library name)
  cmake_parse_arguments(arg "" "ABSENT" "SOURCES;VENDOR;HEADERS;DEPENDS" ${ARGN})
  list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE paths)
  set_property(GLOBAL PROPERTY MILLRACE_CUDA_SOURCES ${paths})
  list(TRANSFORM arg_DEPENDS PREPEND millrace_)
  if(NOT MILLRACE_HAS_CUDA)
    add_library(millrace_${name} STATIC ${arg_ABSENT})
    target_link_libraries(millrace_${name} PUBLIC millrace_options ${arg_DEPENDS})
    return()
  endif()
  add_library(millrace_${name} STATIC ${arg_SOURCES} ${arg_HEADERS})
  set_target_properties(millrace_${name} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED OFF)
  target_compile_options(millrace_${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:${MILLRACE_CUDA_OPTIONS}>)
  set(ours ${arg_SOURCES})
  list(REMOVE_ITEM ours ${arg_VENDOR})
  set_property(SOURCE ${ours} APPEND PROPERTY COMPILE_OPTIONS ${MILLRACE_CUDA_NO_SPILLS})
  target_link_libraries(millrace_${name} PUBLIC millrace_options ${arg_DEPENDS})
endfunction()
