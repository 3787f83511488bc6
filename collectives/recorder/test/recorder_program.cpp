// A program of plain MPI that checks, at its end, what was recorded of it. Makes its own control
// file in the directory it is given, as a rank agent would.
#include <fcntl.h>
#include <mpi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "mpitrain/recorder/operation_page.hpp"

namespace {

using namespace mpitrain::recorder;

OperationPage* make_page(const std::string& path) {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    constexpr std::size_t bytes = operation_page_offset + operation_page_bytes;
    if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) {
        return nullptr;
    }
    void* memory = mmap(nullptr,
                        operation_page_bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_SHARED,
                        file,
                        static_cast<off_t>(operation_page_offset));
    auto* page = static_cast<OperationPage*>(memory);
    page->magic = OperationPage::expected_magic;
    return page;
}

int fail(const char* what) {
    std::fprintf(stderr, "FAILED: %s\n", what);
    return 1;
}

int check(const OperationPage& page, int rank, int ranks) {
    const auto all = read_operations(page);
    if (all.size() != 5) {
        return fail("not five operations");
    }
    const bool numbered = all[0].number == 1 && all[1].number == 2 && all[2].number == 3 &&
                          all[3].number == 1 && all[4].number == 4;
    const bool kinds = all[0].kind == OperationKind::barrier &&
                       all[1].kind == OperationKind::allreduce && all[1].bytes == 40 &&
                       all[2].kind == OperationKind::broadcast && all[2].root == 0 &&
                       all[3].kind == OperationKind::allreduce && all[3].bytes == 8;
    const bool groups = all[0].group == all[1].group && all[3].group != all[0].group &&
                        all[4].group == all[0].group &&
                        all[0].ranks == static_cast<unsigned>(ranks);
    unsigned long long mine[2] = {all[0].group, all[3].group};
    unsigned long long others[2] = {};
    const int peer = rank ^ 2;  // the same half after the split, where there are four
    MPI_Sendrecv(mine,
                 2,
                 MPI_UNSIGNED_LONG_LONG,
                 peer < ranks ? peer : rank,
                 0,
                 others,
                 2,
                 MPI_UNSIGNED_LONG_LONG,
                 peer < ranks ? peer : rank,
                 0,
                 MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    const bool same = mine[0] == others[0] && mine[1] == others[1];
    for (const Operation& operation : all) {
        if (operation.ended_ns < operation.begun_ns) {
            return fail("an operation has not ended");
        }
    }
    return !numbered ? fail("numbers")
           : !kinds  ? fail("kinds")
           : !groups ? fail("groups")
           : !same   ? fail("peers differ")
                     : 0;
}

}  // namespace

int main(int argc, char** argv) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    const char* number = std::getenv("OMPI_COMM_WORLD_RANK");
    if (argc != 2 || number == nullptr) {
        return fail("usage: mpirun recorder_mpi_program DIRECTORY");
    }
    const std::string path = std::string(argv[1]) + "/control-" + number;
    OperationPage* page = make_page(path);
    if (page == nullptr) {
        return fail("no page");
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    setenv("MPITRAIN_CONTROL", path.c_str(), 1);
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int data[10] = {};
    int sums[10] = {};
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Allreduce(data, sums, 10, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Bcast(data, 3, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Comm half = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    MPI_Allreduce(data, sums, 2, MPI_INT, MPI_SUM, half);
    MPI_Barrier(MPI_COMM_WORLD);
    const int failed = check(*page, rank, ranks);
    MPI_Comm_free(&half);
    MPI_Finalize();
    return failed;
}
