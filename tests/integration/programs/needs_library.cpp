// Cannot start: its shared library is not where the loader looks.
extern "C" int mpitrain_gone();
int main() {
    return mpitrain_gone();
}
