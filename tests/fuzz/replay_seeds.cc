// Runs a fuzz target over files, for builds without libFuzzer: replay FILE|DIRECTORY…
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

int main(int count, char** arguments) {
  std::vector<std::filesystem::path> files;
  for (const std::string& one : std::vector<std::string>(arguments + 1, arguments + count)) {
    if (!std::filesystem::is_directory(one)) {
      files.emplace_back(one);
      continue;
    }
    for (const auto& each : std::filesystem::directory_iterator(one))
      files.push_back(each.path());
  }
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
    std::printf("%s: %zu bytes\n", file.c_str(), bytes.size());
    std::fflush(stdout);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  return files.empty() ? 1 : 0;  // there is a mistake in the paths
}
