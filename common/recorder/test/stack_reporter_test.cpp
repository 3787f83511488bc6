#include "stack_reporter.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace mpitrain::recorder {

// By this name it is found in the stack; it must be a frame of its own.
__attribute__((noinline)) void a_function_of_the_program(const std::atomic<bool>& goes_on,
                                                         std::atomic<int>& inside) {
    ++inside;
    while (goes_on) {
    }
}

namespace {

// One process answers once for all, so this is one test.
TEST(StackReporter, WritesTheStackOfEachThreadThatIsAsked) {
    const std::string control =
        std::filesystem::temp_directory_path() / ("recorder-test-" + std::to_string(getpid()));
    static OperationPage page{};
    answer_with_stacks(page, control.c_str());
    const auto signal = static_cast<int>(page.stacks_signal.load());
    ASSERT_GE(signal, SIGRTMIN);

    std::atomic<bool> goes_on{true};
    std::atomic<int> inside{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] { a_function_of_the_program(goes_on, inside); });
    }
    while (inside < 3) {
        std::this_thread::yield();
    }
    for (std::thread& thread : threads) {
        ASSERT_EQ(pthread_kill(thread.native_handle(), signal), 0);
    }
    for (int i = 0; i < 2000 && page.stacks_written < 3; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(page.stacks_written, 3U);
    goes_on = false;
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::stringstream text;
    text << std::ifstream(control + ".stacks").rdbuf();
    std::filesystem::remove(control + ".stacks");
    std::size_t found = 0;
    for (std::size_t at = 0;
         (at = text.str().find("a_function_of_the_program", at)) != std::string::npos;
         ++at) {
        ++found;
    }
    EXPECT_GE(found, 3U) << text.str();
    EXPECT_NE(text.str().find("thread "), std::string::npos);

    answer_with_stacks(page, control.c_str());  // the signal is taken, by us: nothing happens
    EXPECT_EQ(static_cast<int>(page.stacks_signal.load()), signal);
}

}  // namespace
}  // namespace mpitrain::recorder
