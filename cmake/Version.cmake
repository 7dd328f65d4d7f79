# MILLRACE_COMMIT: the commit this tree was configured at, for `millrace --version`; "unknown" from
# a source archive.
set(MILLRACE_COMMIT unknown)
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(
    COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if(NOT failed)
    set(MILLRACE_COMMIT ${commit})
    # A new commit configures anew, so that the version is never an old one.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
      ${CMAKE_SOURCE_DIR}/.git/HEAD)
  endif()
endif()
