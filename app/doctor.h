#pragma once
/// `millrace doctor`: what this machine offers, and what will limit Millrace first.
#include <string>

namespace millrace {

struct doctor_options {
  std::string data = "./millrace-data";  ///< whose disk is measured
  double seconds = 1.0;                  ///< for the disk measurement; 0: none
};

int run_doctor(const doctor_options& options);

}  // namespace millrace
