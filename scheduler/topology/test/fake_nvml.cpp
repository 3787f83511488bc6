// A library with NVML's interface and three invented GPUs, for the tests: 0000:21:00.0 and
// 0000:31:00.0 joined by two NVLink 3 each to a switch, 0000:91:00.0 cut into two MIG devices.
// FAKE_NVML: "denied" refuses the second GPU, "broken" does not start, "empty_mig" has MIG mode
// without devices.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

struct Pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

struct FakeDevice {
    unsigned bus;
    const char* uuid;
};
std::array<FakeDevice, 5> devices = {
    {{0x21, "GPU-a"}, {0x31, "GPU-b"}, {0x91, "GPU-c"}, {0x91, "MIG-c0"}, {0x91, "MIG-c2"}}};

constexpr int success = 0;
constexpr int not_found = 6;
constexpr int no_permission = 4;
constexpr int driver_not_loaded = 9;

bool scenario(std::string_view name) {
    const char* value = std::getenv("FAKE_NVML");
    return value != nullptr && name == value;
}

bool is_joined(const FakeDevice* device) {
    return device == &devices[0] || device == &devices[1];
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
    return scenario("broken") ? driver_not_loaded : success;
}
int nvmlShutdown() {
    return success;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
    *count = 3;
    return success;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, FakeDevice** device) {
    *device = &devices[index];
    return index == 1 && scenario("denied") ? no_permission : success;
}
int nvmlDeviceGetPciInfo_v3(FakeDevice* device, Pci* pci) {
    std::memset(pci, 0, sizeof *pci);
    pci->bus = device->bus;
    return success;
}
int nvmlDeviceGetUUID(FakeDevice* device, char* text, unsigned size) {
    std::snprintf(text, size, "%s", device->uuid);
    return success;
}
int nvmlDeviceGetName(FakeDevice*, char* text, unsigned size) {
    std::snprintf(text, size, "NVIDIA Fake");
    return success;
}
int nvmlDeviceGetMigMode(FakeDevice* device, unsigned* current, unsigned* pending) {
    *current = *pending = device == &devices[2] ? 1 : 0;
    return success;
}
int nvmlDeviceGetMaxMigDeviceCount(FakeDevice*, unsigned* count) {
    *count = 7;
    return success;
}
int nvmlDeviceGetMigDeviceHandleByIndex(FakeDevice*, unsigned index, FakeDevice** mig) {
    if (scenario("empty_mig") || (index != 0 && index != 2)) {
        return not_found;
    }
    *mig = &devices[index == 0 ? 3 : 4];
    return success;
}
int nvmlDeviceGetNvLinkState(FakeDevice* device, unsigned link, unsigned* active) {
    *active = is_joined(device) && link < 2 ? 1 : 0;
    return link < 12 ? success : not_found;
}
int nvmlDeviceGetNvLinkVersion(FakeDevice*, unsigned, unsigned* version) {
    *version = 4;  // NVLink 3.0 in NVML's numbering
    return success;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(FakeDevice*, unsigned, Pci* pci) {
    std::memset(pci, 0xff, sizeof *pci);  // as in a virtual machine
    return success;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(FakeDevice*, unsigned, unsigned* type) {
    *type = 2;
    return success;
}
}
