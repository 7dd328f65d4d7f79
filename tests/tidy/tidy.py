#!/usr/bin/env python3
"""Holds the tree to its rules: what may include what, headers that compile alone, files missing
from CMake, third-party headers inside their fences, calls that have something better here, and tests
that documents name.

    tests/tidy/tidy.py [--root DIR] [--cache FILE] [--compiler g++] [--no-compile]

Every finding says what to do. tidy_self_test.py proves that each rule finds what it is for.
"""
import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import os
import re
import subprocess
import sys

# A file includes from its own folder or from folders to its left. gpu/ is built and measured on bare
# GPU hosts, so it may use base/ only.
FOLDERS = ["base", "ingest", "gpu", "shards", "analytics", "delivery", "api", "app"]
ONLY_BASE = {"gpu"}

# Headers of third parties: (pattern of the header, where it may be included, how many files may).
# Benchmarks and tests may compare against anything, so bench/ and tests/ are outside the counts.
FENCES = [
    (r"rte_.*", ["ingest/dpdk*.cc"], 5),
    (r"boost/.*", ["api/http_*.cc", "api/http_connection.h"], 7),
    (r"sqlite3\.h", ["shards/database.cc"], 1),
    (r"liburing\.h", ["shards/*.cc"], 1),
    (r"openssl/.*", ["ingest/*.cc", "shards/run_cipher.cc", "api/http_tls.cc"], 4),
    (r"CLI/.*", ["app/*.cc"], 1),
    (r"toml\+\+/.*", ["app/*config.cc"], 2),
    (r"spdlog/.*", ["app/log.cc"], 1),
    (r"nlohmann/.*", ["api/*.cc", "app/*.cc"], 6),
    (r"simdjson\.h", ["ingest/*.cc", "app/*.cc", "api/*.cc"], 2),
    (r"fmt/.*", ["api/*.cc", "app/*.cc", "app/*.h"], 99),
    (r"pcap(/.*)?\.h", ["ingest/*.cc"], 1),
    (r"zlib\.h", ["api/*.cc"], 1),
    (r"nghttp2/.*", ["api/http_h2*.cc"], 2),
    (r"cuda_runtime\.h|cub/.*", ["gpu/*.cu", "gpu/*.cuh"], 99),
    (r"g(test|mock)/.*", [], 0),
    (r"benchmark/.*", [], 0),
    (r"sanitizer/.*", [], 0),
    (r"hiredis/.*", [], 0),
    # Instruction sets are chosen at run time in few places; the rest is plain C++.
    (r"(immintrin|x86intrin|nmmintrin|wmmintrin|cpuid)\.h",
     ["base/*.cc", "gpu/*", "app/doctor*.cc"], 12),
]

# What the operating system and the C++ library bring; a header that is neither here nor in FENCES is
# a new dependency and has to be put into a fence first.
SYSTEM_HEADERS = re.compile(
    r"[a-z_0-9]+$|(sys|linux|net|netinet|arpa|asm)/[a-z_0-9/]+\.h$|"
    r"(unistd|fcntl|poll|pthread|sched|errno|signal|netdb|dlfcn|ifaddrs|termios|string|stdint|"
    r"stddef|stdlib|stdio|time|limits|malloc|dirent|endian|spawn|ftw|execinfo|getopt|libgen|ucontext)\.h$")

CODE = FOLDERS + ["bench", "tests"]
PRODUCT = FOLDERS

# (pattern, folders where it is banned, files that may, what to do instead). Matched in code without
# comments and string literals.
BANNED = [
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|strncpy)\s*\(", CODE, [],
     "std::string, std::string_view or std::snprintf"),
    (r"\b(atoi|atol|atoll|atof|sscanf|strtol|strtoul|strtoull|strtod)\s*\(", PRODUCT, [],
     "std::from_chars: it reports what is wrong"),
    (r"\bstd::(stoi|stol|stoll|stoul|stoull|stod|stof)\b", PRODUCT, [],
     "std::from_chars: it does not throw"),
    (r"(?<![\w.>])(std::)?(system|popen)\s*\(", CODE, [], "posix_spawn with an argument list, or no child"),
    (r"(?<![\w.>])(std::)?s?rand\s*\(", CODE, [],
     "a seeded std::mt19937_64, or getrandom for what must not be guessed"),
    (r"(?<!\w)assert\s*\(", CODE, [], "MILLRACE_CHECK (base/check.h): it stays on in release builds"),
    (r"\bstd::w?regex\b", CODE, [], "a hand-written scanner: std::regex recurses on its input"),
    (r"\bvolatile\b", CODE, ["bench/*", "tests/*"], "std::atomic"),
    (r"\bstd::endl\b", CODE, ["app/*"], "'\\n': a flush has to be meant"),
    (r"\busing\s+namespace\s+std\b", CODE, [], "the names you use"),
    (r"\bstd::(cout|cerr|clog)\b", PRODUCT, ["app/*"], "a result or status for the caller, or a counter"),
    (r"(?<!\w)throw\b", PRODUCT, [], "a status or result (base/error.h)"),
    (r"\b(steady_clock|system_clock|high_resolution_clock)::now\b|\bgettimeofday\s*\(|"
     r"\bclock_gettime\s*\(", PRODUCT, ["base/clock.cc", "app/bench_context.cc"], "base/clock.h"),
    (r"\bstd::async\b|\.detach\s*\(\)", CODE, [], "a std::thread that somebody joins"),
    (r"\b(usleep|nanosleep)\s*\(|(?<!\w)::sleep\s*\(", CODE, [], "a waker (base/waker.h), or wait for the event"),
    (r"(?<!\w)signal\s*\(\s*(SIG\w+|\d+)\s*,\s*(?!SIG_)", CODE, [], "sigaction, or signalfd"),
]

TEXT_SUFFIXES = (".h", ".cc", ".cu", ".cuh", ".py", ".md", ".txt", ".cmake", ".json", ".toml", ".sh", ".yml",
                 ".service")
PRIVATE = [
    (re.compile(r"(?<![\w.])/(work|home/\w+|root)/"), "a path of somebody's machine",
     "a relative path or a name"),
]
LENGTHS = [("*.h", 300), ("*.cc", 700)]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


class Tree:
    """The files of a checkout; paths are relative, with forward slashes."""

    def __init__(self, root):
        self.root = root
        self.files = self._list()
        self._texts = {}

    def _list(self):
        try:
            out = subprocess.run(
                ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                capture_output=True, check=True).stdout.decode()
            names = [name for name in out.split("\0") if name]
        except (OSError, subprocess.CalledProcessError):
            names = []
            for directory, below, files in os.walk(self.root):
                below[:] = [b for b in below if b not in (".git", "build", ".cache")]
                names += [os.path.relpath(os.path.join(directory, f), self.root) for f in files]
        return sorted({n.replace(os.sep, "/") for n in names
                       if os.path.isfile(os.path.join(self.root, n))})

    def text(self, name):
        if name not in self._texts:
            with open(os.path.join(self.root, name), encoding="utf-8", errors="replace") as file:
                self._texts[name] = file.read()
        return self._texts[name]

    def sources(self):
        return [n for n in self.files if n.endswith((".h", ".cc", ".cu", ".cuh")) and n.split("/")[0] in CODE]


def blank(match):
    """Keeps the lines of what is taken out, so that line numbers stay right."""
    return "\n" * match.group(0).count("\n") or " "


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def includes(text):
    """(line, '<' or '"', header) of each #include."""
    return [(line_of(text, m.start(2)), m.group(1), m.group(2)) for m in INCLUDE.finditer(text)]


def folder_of(name):
    """The folder whose rules hold for a file; a test has those of the folder it mirrors."""
    parts = name.split("/")
    if parts[0] == "tests":
        return parts[1] if len(parts) > 2 and parts[1] in FOLDERS else "app"
    return "app" if parts[0] == "bench" else parts[0]


def check_include_direction(tree):
    for name in tree.sources():
        own = folder_of(name)
        allowed = {"base", own} if own in ONLY_BASE else set(FOLDERS[:FOLDERS.index(own) + 1])
        for line, kind, header in includes(tree.text(name)):
            if kind != '"':
                continue
            target = header.split("/")[0]
            beside = os.path.join(os.path.dirname(name), header)
            if name.startswith("tests/") and beside in tree.files:
                continue  # a test's own helpers
            if header not in tree.files:
                yield f"{name}:{line}: \"{header}\" is no file of the tree; write the path from its root"
            elif target in ("tests", "bench"):
                if name.split("/")[0] != target:
                    yield f"{name}:{line}: only {target}/ may include {header}"
            elif target not in allowed:
                yield (f"{name}:{line}: {own}/ may not include {header}; it may include from: "
                       f"{', '.join(sorted(allowed, key=FOLDERS.index))}. Move the code left, or have "
                       f"{target}/ call it")


def check_fences(tree):
    users = {pattern: [] for pattern, _, _ in FENCES}
    for name in tree.sources():
        outside = name.split("/")[0] in ("tests", "bench")
        for line, kind, header in includes(tree.text(name)):
            if kind != "<":
                continue
            fence = next((f for f in FENCES if re.fullmatch(f[0], header)), None)
            if fence is None:
                if not SYSTEM_HEADERS.match(header):
                    yield (f"{name}:{line}: <{header}> is a new dependency: put a fence for it into "
                           f"tests/tidy/tidy.py, and its package into scripts/install-deps")
                continue
            pattern, places, _ = fence
            if outside:
                continue
            if not any(fnmatch.fnmatch(name, place) for place in places):
                yield (f"{name}:{line}: <{header}> may be included in {' '.join(places) or 'tests only'}; "
                       f"go through the header of ours that hides it")
            elif name not in users[pattern]:
                users[pattern].append(name)
    for pattern, _, limit in FENCES:
        if len(users[pattern]) > limit:
            yield (f"headers {pattern} are included in {len(users[pattern])} files "
                   f"({', '.join(users[pattern])}), {limit} may: hide them behind one header of ours")


def check_banned(tree):
    compiled = [(re.compile(p), places, exempt, instead) for p, places, exempt, instead in BANNED]
    for name in tree.sources():
        if name.endswith((".cu", ".cuh")):
            continue
        code = COMMENT_OR_STRING.sub(blank, tree.text(name))
        for pattern, places, exempt, instead in compiled:
            if name.split("/")[0] not in places or any(fnmatch.fnmatch(name, e) for e in exempt):
                continue
            for match in pattern.finditer(code):
                what = match.group(0).rstrip("( \t")
                yield f"{name}:{line_of(code, match.start())}: '{what}' is banned; use {instead}"


def check_headers_shape(tree):
    for name in tree.sources():
        text = tree.text(name)
        if name.endswith((".h", ".cuh")) and not text.lstrip().startswith("#pragma once"):
            yield f"{name}:1: a header starts with #pragma once"
        for pattern, limit in LENGTHS:
            lines = text.count("\n")
            if fnmatch.fnmatch(name, pattern) and lines > limit and not name.startswith("tests/"):
                yield f"{name}: {lines} lines, over {limit}: look for the second idea in it and split it"


def check_cmake_lists(tree):
    for name in tree.sources():
        folder = os.path.dirname(name)
        base = os.path.basename(name)
        if name.startswith("tests/") and name.endswith((".h", ".cuh")):
            continue  # helpers: CMake finds them by the sources that include them
        # A file is listed by the CMakeLists.txt of its folder, or by one above it with its path.
        listed = False
        relative = base
        while True:
            lists = f"{folder}/CMakeLists.txt" if folder else "CMakeLists.txt"
            if lists in tree.files:
                if re.search(r"(?<![\w./-])" + re.escape(relative) + r"(?![\w-])", tree.text(lists)):
                    listed = True
                    break
            if not folder:
                break
            relative = os.path.basename(folder) + "/" + relative
            folder = os.path.dirname(folder)
        if not listed:
            yield f"{name}: in no CMakeLists.txt: add it to the list of its folder"


def check_private_paths(tree):
    for name in tree.files:
        is_text = name.endswith(TEXT_SUFFIXES) or name.startswith(("scripts/", ".ci/"))
        if not is_text or name.startswith("tests/tidy/"):
            continue
        text = tree.text(name)
        for pattern, what, instead in PRIVATE:
            for match in pattern.finditer(text):
                yield f"{name}:{line_of(text, match.start())}: {what} ('{match.group(0)}'); use {instead}"


def check_named_tests(tree):
    """Documents say which test shows what they claim."""
    tests = "".join(tree.text(n) for n in tree.files
                    if n.startswith("tests/") and n.endswith((".cc", ".h", ".py")))
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        text = tree.text(name)
        # Among brackets, `names_like_those_of_tests`, with or without more words.
        for claim in re.finditer(r"\[[^\[\]]*`[^\[\]]*\]", text):
            for match in re.finditer(r"`([a-zA-Z0-9]+(?:_[a-zA-Z0-9]+){3,})`", claim.group(0)):
                if match.group(1) not in tests:
                    line = line_of(text, claim.start() + match.start())
                    yield f"{name}:{line}: there is no test '{match.group(1)}'; name one that is"


def closure_digest(tree, name):
    """Of a header and of every header of ours below it."""
    seen = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        waiting += [h for _, kind, h in includes(tree.text(one)) if kind == '"' and h in tree.files]
    digest = hashlib.sha256()
    for one in sorted(seen):
        digest.update(one.encode() + b"\0" + tree.text(one).encode() + b"\0")
    return digest.hexdigest()


def compile_header(root, compiler, name):
    run = subprocess.run(
        [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-I", root, "-x", "c++", "-"],
        input=f'#include "{name}"\n'.encode(), capture_output=True, check=False)
    return None if run.returncode == 0 else run.stderr.decode(errors="replace").strip()


def proven_by_build(tree):
    """The headers that some source includes before anything else: that they compile alone is what the
    build shows. Sources that not every build compiles do not count."""
    proven = set()
    for name in tree.sources():
        if not name.endswith(".cc") or name.startswith(("bench/", "tests/fuzz/")):
            continue
        first = INCLUDE.search(tree.text(name))
        if first and first.group(1) == '"':
            proven.add(first.group(2))
    return proven


def check_headers_alone(tree, compiler, cache_path):
    """Compiles the headers that the build does not show to compile alone. What compiled once is not
    compiled again until it, or a header below it, changes."""
    cache = {}
    if cache_path and os.path.exists(cache_path):
        try:
            with open(cache_path, encoding="utf-8") as file:
                cache = json.load(file)
        except ValueError:
            cache = {}
    proven = proven_by_build(tree)
    digests = {n: closure_digest(tree, n) for n in tree.sources()
               if n.endswith(".h") and n not in proven}
    todo = [n for n, digest in digests.items() if cache.get(n) != digest]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        outcomes = list(pool.map(lambda n: compile_header(tree.root, compiler, n), todo))
    good = {n: d for n, d in digests.items() if n not in todo}
    for name, problem in zip(todo, outcomes):
        if problem is None:
            good[name] = digests[name]
        else:
            first = "\n    ".join(problem.splitlines()[:6])
            yield f"{name}: does not compile alone; include what it uses:\n    {first}"
    if cache_path:
        partial = cache_path + f".{os.getpid()}"
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(good, file)
        os.replace(partial, cache_path)


CHECKS = [check_include_direction, check_fences, check_banned, check_headers_shape, check_cmake_lists,
          check_private_paths, check_named_tests]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    parser.add_argument("--cache", help="remembers which headers compiled")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--no-compile", action="store_true", help="leave out the header compilation")
    options = parser.parse_args()

    tree = Tree(os.path.abspath(options.root))
    findings = [finding for check in CHECKS for finding in check(tree)]
    if not options.no_compile:
        findings += check_headers_alone(tree, options.compiler, options.cache)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(tree.sources())} sources, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
