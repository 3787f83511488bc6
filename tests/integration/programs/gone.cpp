// The library that `needs_library` is linked with and never finds.
extern "C" int mpitrain_gone();
int mpitrain_gone() {
    return 0;
}
