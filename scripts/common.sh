# For the scripts beside this one: `. "$(dirname "$0")/common.sh"`. Leaves the shell in the root of
# the tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Objects are found in the cache also from another checkout of the same tree.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
jobs=${MILLRACE_JOBS:-$(nproc)}

# print_usage FILE: the comment block at a script's head, as its help.
print_usage() {
  awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$1"
}

# configure PRESET [cmake arguments…]: once; later calls only if something is asked for.
configure() {
  local preset=$1
  shift
  if [ ! -f "build/$preset/build.ninja" ] || [ $# -gt 0 ]; then
    cmake --preset "$preset" -G Ninja "$@" >"/dev/stderr"
  fi
}

# build PRESET [targets…]
build() {
  local preset=$1
  shift
  cmake --build "build/$preset" -j "$jobs" ${*:+--target "$@"} >"/dev/stderr"
}
