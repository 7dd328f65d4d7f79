# Run at every build: writes ${OUTPUT}, a source that holds the commit for `millrace --version`, when
# the commit is another one than it says. "unknown" from a source archive.
execute_process(
  COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
if(failed)
  set(commit unknown)
endif()
set(text "namespace millrace {\nextern const char* const commit_text;\nconst char* const commit_text = \"${commit}\";\n}\n")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
