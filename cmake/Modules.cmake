# millrace_module(NAME SOURCES a.cc … HEADERS a.h … DEPENDS other modules … LIBRARIES third-party …)
#
# One static library a folder. The lists are explicit: the tidy test finds a file that is missing.
function(millrace_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;HEADERS;DEPENDS;LIBRARIES" ${ARGN})
  add_library(millrace_${name} STATIC ${arg_SOURCES} ${arg_HEADERS})
  list(TRANSFORM arg_DEPENDS PREPEND millrace_)
  target_link_libraries(millrace_${name} PUBLIC millrace_options ${arg_DEPENDS} Threads::Threads
    PRIVATE ${arg_LIBRARIES})
endfunction()

# millrace_test(NAME SOURCES a.cc … DEPENDS modules … [LIBRARIES …]): one GoogleTest program, its
# cases found by ctest one by one.
function(millrace_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  list(TRANSFORM arg_DEPENDS PREPEND millrace_)
  target_link_libraries(${name} PRIVATE millrace_options ${arg_DEPENDS} ${arg_LIBRARIES}
    GTest::gtest_main)
  gtest_discover_tests(${name} PROPERTIES TIMEOUT 120 DISCOVERY_TIMEOUT 60
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()
