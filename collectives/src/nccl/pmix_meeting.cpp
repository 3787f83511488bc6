#include "nccl/pmix_meeting.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <pmix.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>

namespace mpitrain::collectives {

namespace {

struct PmixApi {
    decltype(&PMIx_Init) init = nullptr;
    decltype(&PMIx_Finalize) finalize = nullptr;
    decltype(&PMIx_Get) get = nullptr;
    decltype(&PMIx_Get_nb) get_nb = nullptr;
    decltype(&PMIx_Put) put = nullptr;
    decltype(&PMIx_Commit) commit = nullptr;
    decltype(&PMIx_Error_string) error_string = nullptr;
};

template <typename Function>
bool find(void* library, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(::dlsym(library, name));
    return function != nullptr;
}

Result<PmixApi> open_library() {
    void* library = nullptr;
    for (const char* name : {"libpmix.so.2", MPITRAIN_PMIX_LIBRARY}) {
        library = library != nullptr ? library : ::dlopen(name, RTLD_NOW | RTLD_NODELETE);
    }
    PmixApi api;
    if (library == nullptr || !find(library, "PMIx_Init", api.init) ||
        !find(library, "PMIx_Finalize", api.finalize) || !find(library, "PMIx_Get", api.get) ||
        !find(library, "PMIx_Get_nb", api.get_nb) || !find(library, "PMIx_Put", api.put) ||
        !find(library, "PMIx_Commit", api.commit) ||
        !find(library, "PMIx_Error_string", api.error_string)) {
        return Error(ErrorCode::unavailable, "cannot open PMIx")
            .at("libpmix.so.2")
            .mend("install libpmix2, or open NCCL over an MPI communicator");
    }
    return api;
}

// What the other ranks said; filled by PMIx's own thread, perhaps after everyone has given up.
struct Board {
    explicit Board(int ranks)
        : said(static_cast<std::size_t>(ranks)), asked(static_cast<std::size_t>(ranks)) {}
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::optional<std::string>> said;
    std::vector<bool> asked;  // and not answered yet
    int answered = 0;         // well
};

// One question to PMIx. Keeps the board alive until it is answered, or for ever.
struct Question {
    std::shared_ptr<Board> board;
    std::size_t rank;
};

void on_answer(pmix_status_t status, pmix_value_t* value, void* question) {
    const std::unique_ptr<Question> asked(static_cast<Question*>(question));
    const std::lock_guard lock(asked->board->mutex);
    if (status == PMIX_SUCCESS && value != nullptr && value->type == PMIX_BYTE_OBJECT) {
        asked->board->said[asked->rank] = std::string(value->data.bo.bytes, value->data.bo.size);
        ++asked->board->answered;
        asked->board->changed.notify_all();
    }
    asked->board->asked[asked->rank] = false;
}

class PmixMeeting final : public Meeting {
  public:
    PmixMeeting(const PmixApi& api, const pmix_proc_t& own, int size, Nanoseconds deadline)
        : api_(api), own_(own), size_(size), deadline_(deadline) {}

    [[nodiscard]] int rank() const override { return static_cast<int>(own_.rank); }
    [[nodiscard]] int size() const override { return size_; }

    Result<Answers> roll_call(std::uint8_t mine, Nanoseconds patience) override {
        const char byte = static_cast<char>(mine);
        MPITRAIN_TRY(const auto said, ask({&byte, 1}, patience));
        Answers answers;
        for (const auto& each : said) {
            answers.push_back(each && each->size() == 1
                                  ? std::optional(static_cast<std::uint8_t>(each->front()))
                                  : std::nullopt);
        }
        return answers;
    }

    Result<std::vector<std::string>> exchange(std::string_view mine) override {
        // PMIx takes no empty value.
        MPITRAIN_TRY(const auto said, ask("=" + std::string(mine), deadline_));
        std::vector<std::string> all;
        for (const auto& each : said) {
            if (!each || each->empty()) {
                return Error(ErrorCode::deadline_exceeded,
                             fmt::format("rank {} did not come within {}",
                                         all.size(),
                                         format_duration(deadline_)))
                    .at("an exchange by PMIx");
            }
            all.push_back(each->substr(1));
        }
        return all;
    }

  private:
    Error problem(std::string_view call, pmix_status_t status) const {
        return Error(ErrorCode::unavailable,
                     fmt::format("{} failed: {}", call, api_.error_string(status)));
    }

    Result<void> put(const std::string& key, std::string mine) {
        pmix_value_t value{};
        value.type = PMIX_BYTE_OBJECT;
        value.data.bo.bytes = mine.data();
        value.data.bo.size = mine.size();
        if (const pmix_status_t status = api_.put(PMIX_GLOBAL, key.c_str(), &value)) {
            return problem("PMIx_Put", status);
        }
        if (const pmix_status_t status = api_.commit()) {
            return problem("PMIx_Commit", status);
        }
        return {};
    }

    Result<void> ask_for(const std::string& key, const std::shared_ptr<Board>& board, int rank) {
        pmix_proc_t other = own_;
        other.rank = static_cast<pmix_rank_t>(rank);
        auto question = std::make_unique<Question>(Question{board, static_cast<std::size_t>(rank)});
        if (const pmix_status_t status =
                api_.get_nb(&other, key.c_str(), nullptr, 0, &on_answer, question.get())) {
            return problem("PMIx_Get_nb", status);
        }
        static_cast<void>(question.release());  // on_answer() takes it
        return {};
    }

    // Those that are to be asked, for the first time or again.
    static std::vector<int> unanswered(Board& board) {
        std::vector<int> ranks;
        const std::lock_guard lock(board.mutex);
        for (std::size_t r = 0; r < board.said.size(); ++r) {
            if (!board.said[r] && !board.asked[r]) {
                board.asked[r] = true;
                ranks.push_back(static_cast<int>(r));
            }
        }
        return ranks;
    }

    // Says `mine` under the next key, and waits for what the others say there. PMIx holds the
    // question to a rank that has said nothing yet until it does; of one that has, but not under
    // this key, it says that there is no such thing, and is asked again. Who does not come is known
    // by name.
    Result<std::vector<std::optional<std::string>>> ask(std::string_view mine,
                                                        Nanoseconds patience) {
        constexpr Nanoseconds again_after = std::chrono::milliseconds(2);
        const std::string key = fmt::format("mpitrain.{}", ++asked_);
        MPITRAIN_TRY_VOID(put(key, std::string(mine)));
        const auto board = std::make_shared<Board>(size_);
        const auto end = std::chrono::steady_clock::now() + patience;
        for (;;) {
            for (const int rank : unanswered(*board)) {
                MPITRAIN_TRY_VOID(ask_for(key, board, rank));
            }
            std::unique_lock lock(board->mutex);
            board->changed.wait_for(lock, again_after, [&] { return board->answered == size_; });
            if (board->answered == size_ || std::chrono::steady_clock::now() > end) {
                return board->said;
            }
        }
    }

    PmixApi api_;
    pmix_proc_t own_;
    int size_;
    Nanoseconds deadline_;
    std::uint64_t asked_ = 0;
};

void end_pmix() {
    if (const auto api = open_library()) {
        api->finalize(nullptr, 0);
    }
}

}  // namespace

Result<std::unique_ptr<Meeting>> meet_by_pmix(Nanoseconds deadline) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread of this library changes the environment
    if (std::getenv("PMIX_NAMESPACE") == nullptr) {
        return Error(ErrorCode::unavailable, "this process was not started by PMIx")
            .mend("start it by mpitrain run, mpirun or srun --mpi=pmix");
    }
    MPITRAIN_TRY(const PmixApi api, open_library());
    pmix_proc_t own{};
    if (const pmix_status_t status = api.init(&own, nullptr, 0)) {
        return Error(ErrorCode::unavailable,
                     fmt::format("PMIx_Init failed: {}", api.error_string(status)));
    }
    // Once for each time that it was begun; engines take a process that ends without for a failure.
    std::atexit(&end_pmix);
    pmix_proc_t job = own;
    job.rank = PMIX_RANK_WILDCARD;
    pmix_value_t* value = nullptr;
    if (const pmix_status_t status = api.get(&job, PMIX_JOB_SIZE, nullptr, 0, &value)) {
        return Error(ErrorCode::unavailable,
                     fmt::format("PMIx does not know how many ranks there are: {}",
                                 api.error_string(status)));
    }
    const int size = static_cast<int>(value->data.uint32);
    std::free(value);  // as PMIX_VALUE_RELEASE does for a number
    return std::unique_ptr<Meeting>(std::make_unique<PmixMeeting>(api, own, size, deadline));
}

}  // namespace mpitrain::collectives
