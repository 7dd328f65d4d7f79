#!/usr/bin/env python3
"""Plants one violation of each rule in a small tree and expects tidy.py to find that, and only
that; and finds nothing in the tree without it."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402

CLEAN = {
    "base/CMakeLists.txt": "millrace_module(base SOURCES a.cc HEADERS a.h)\n",
    "base/a.h": "#pragma once\n#include <string>\nint a();\n",
    "base/a.cc": '#include "base/a.h"\n#include <unistd.h>\nint a() { return 1; }\n',
    "shards/CMakeLists.txt": "millrace_module(shards SOURCES log.cc HEADERS log.h)\n",
    "shards/log.h": '#pragma once\n#include "base/a.h"\n',
    "shards/log.cc": '#include "shards/log.h"\n',
    "tests/base/CMakeLists.txt": "millrace_test(t SOURCES a_test.cc)\n",
    "tests/base/a_test.cc": '#include <gtest/gtest.h>\n#include "base/a.h"\n',
}


class TidyTest(unittest.TestCase):
    def findings(self, changes, compile_headers=False):
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**CLEAN, **changes}.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            tree = tidy.Tree(root)
            found = [f for check in tidy.CHECKS for f in check(tree)]
            if compile_headers:
                cache = os.path.join(root, "cache.json")
                found += tidy.check_headers_alone(tree, "g++", cache)
                again = tidy.Tree(root)
                self.assertEqual(len(list(tidy.check_headers_alone(again, "g++", cache))), len(found))
            return found

    def assert_one(self, changes, *words):
        found = self.findings(changes)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_clean_tree_has_no_findings(self):
        self.assertEqual(self.findings({}, compile_headers=True), [])

    def test_an_include_to_the_right_is_found(self):
        self.assert_one({"base/a.cc": '#include "shards/log.h"\n'}, "base/a.cc:1", "shards/log.h")

    def test_gpu_may_include_base_only(self):
        self.assert_one({
            "gpu/CMakeLists.txt": "millrace_module(gpu SOURCES k.cc)\n",
            "gpu/k.cc": '#include "base/a.h"\n#include "ingest/p.h"\n',
            "ingest/CMakeLists.txt": "millrace_module(ingest HEADERS p.h)\n",
            "ingest/p.h": "#pragma once\n",
        }, "gpu/k.cc:2", "base, gpu")

    def test_a_test_has_the_rules_of_its_folder(self):
        self.assert_one({"tests/base/a_test.cc": '#include "shards/log.h"\n'}, "tests/base/a_test.cc:1")

    def test_a_path_that_is_not_from_the_root_is_found(self):
        self.assert_one({"base/a.cc": '#include "a.h"\n'}, "path from its root")

    def test_a_fenced_header_elsewhere_is_found(self):
        self.assert_one({"base/a.cc": "#include <liburing.h>\n"}, "base/a.cc:1", "shards/*.cc")

    def test_a_fenced_header_in_too_many_files_is_found(self):
        self.assert_one({
            "shards/CMakeLists.txt": "millrace_module(shards SOURCES log.cc two.cc HEADERS log.h)\n",
            "shards/log.cc": "#include <liburing.h>\n",
            "shards/two.cc": "#include <liburing.h>\n",
        }, "2 files", "1 may")

    def test_tests_may_compare_with_anything_fenced(self):
        self.assertEqual(self.findings({"tests/base/a_test.cc": "#include <openssl/md5.h>\n"}), [])

    def test_an_unknown_dependency_is_found(self):
        self.assert_one({"base/a.cc": "#include <lz4.h>\n"}, "new dependency", "install-deps")

    def test_each_banned_call_is_found(self):
        for code, instead in [
            ("void f(char* a) { strcpy(a, a); }", "std::string"),
            ("int f(char* a) { return atoi(a); }", "from_chars"),
            ("int f() { return std::stoi(s); }", "from_chars"),
            ("void f() { std::system(s); }", "posix_spawn"),
            ("int f() { return rand(); }", "mt19937"),
            ("void f() { assert(true); }", "MILLRACE_CHECK"),
            ("std::regex r;", "scanner"),
            ("volatile int x;", "std::atomic"),
            ("void f() { s << std::endl; }", "flush"),
            ("using namespace std;", "names you use"),
            ("void f() { std::cout << 1; }", "caller"),
            ("void f() { throw 1; }", "status"),
            ("auto t = std::chrono::steady_clock::now();", "base/clock.h"),
            ("void f() { std::thread(g).detach(); }", "joins"),
            ("void f() { usleep(1); }", "waker"),
            ("void f() { signal(2, g); }", "sigaction"),
        ]:
            with self.subTest(code=code):
                self.assert_one({"base/a.cc": code + "\n"}, "base/a.cc:1", "banned", instead)

    def test_comments_strings_and_longer_names_are_no_calls(self):
        text = ('// assert(x) and rand()\n/* strcpy(a, b) */ const char* s = "system(1)";\n'
                "static_assert(true);\nvoid g() { x.system(1); operand(2); }\nauto r = R\"(atoi(1))\";\n")
        self.assertEqual(self.findings({"base/a.cc": text}), [])

    def test_a_header_without_pragma_once_is_found(self):
        self.assert_one({"base/a.h": "int a();\n"}, "base/a.h:1", "#pragma once")

    def test_a_file_that_is_too_long_is_found(self):
        self.assert_one({"base/a.h": "#pragma once\n" + "\n" * 400}, "base/a.h", "split")

    def test_a_file_missing_from_cmake_is_found(self):
        self.assert_one({"base/lonely.cc": "int x;\n"}, "base/lonely.cc", "CMakeLists.txt")

    def test_a_listed_name_that_only_ends_alike_does_not_count(self):
        self.assert_one({"base/CMakeLists.txt": "millrace_module(base SOURCES aa.cc HEADERS a.h)\n"},
                        "base/a.cc", "CMakeLists.txt")

    def test_a_private_path_is_found(self):
        private = "/" + "home/somebody/x"
        self.assert_one({"docs/a.md": f"see {private}\n"}, "docs/a.md:1", "machine")

    BAD_HEADER = {
        "base/CMakeLists.txt": "millrace_module(base SOURCES a.cc b.cc HEADERS a.h b.h)\n",
        "base/b.h": "#pragma once\nstd::string b();\n",
    }

    def test_a_test_that_a_document_names_and_nobody_has_is_found(self):
        has = {"tests/base/a_test.cc": "TEST(a, is_one_whatever_comes) {}\n"}
        claims = "# A\n\nIt is one\n[`is_one_whatever_comes`]; [`not_me`], `no_claim_in_these_words`.\n"
        self.assertEqual(self.findings({**has, "docs/a.md": claims}), [])
        self.assert_one({**has, "docs/a.md": claims + "It is two [of a: `is_two_whatever_comes`].\n"},
                        "docs/a.md:5", "is_two_whatever_comes")

    def test_a_header_that_does_not_compile_alone_is_found(self):
        found = self.findings({
            **self.BAD_HEADER,
            "base/b.cc": '#include <string>\n#include "base/b.h"\n',
        }, compile_headers=True)
        self.assertEqual(len(found), 1, found)
        self.assertIn("base/b.h: does not compile alone", found[0])

    def test_a_header_that_a_source_begins_with_is_left_to_the_build(self):
        self.assertEqual(self.findings({
            **self.BAD_HEADER,
            "base/b.cc": '#include "base/b.h"\n',
        }, compile_headers=True), [])


if __name__ == "__main__":
    unittest.main()
