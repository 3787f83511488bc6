#pragma once

#include <string>

#include "machine.hpp"
#include "mpitrain/base/result.hpp"

namespace mpitrain::topology {

// The machine this process runs on, without this process's limits except the cpuset that hwloc
// obeys. `with_devices`: also look at the PCI bus, which costs ten times the rest.
Result<Machine> load_live_machine(bool with_devices);

// From the text of an hwloc XML file. `xml` must have passed check_xml.
Result<Machine> load_xml_machine(const std::string& xml);

Result<Machine> load_synthetic_machine(const std::string& description);

}  // namespace mpitrain::topology
