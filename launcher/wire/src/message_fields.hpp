#pragma once

#include <tuple>

#include "mpitrain/wire/message.hpp"

// The body of every message: its members, in the order in which they travel. The encoder and the
// decoder both walk these lists, so they cannot disagree.
namespace mpitrain::wire {

template <typename T>
constexpr auto fields = nullptr;

template <>
inline constexpr auto fields<Hello> = std::tuple(
    &Hello::version, &Hello::rank, &Hello::guard, &Hello::host, &Hello::pid, &Hello::held_port);
template <>
inline constexpr auto fields<Started> = std::tuple(&Started::pid, &Started::time_ns);
template <>
inline constexpr auto fields<Output> = std::tuple(&Output::stream, &Output::bytes);
template <>
inline constexpr auto fields<Metric> = std::tuple(&Metric::name, &Metric::value);
template <>
inline constexpr auto fields<Progress> =
    std::tuple(&Progress::step, &Progress::total, &Progress::checkpoint_ns, &Progress::metrics);
template <>
inline constexpr auto fields<Commit> = std::tuple(&Commit::step, &Commit::time_ns);
template <>
inline constexpr auto fields<SaveFailed> = std::tuple(&SaveFailed::step, &SaveFailed::reason);
template <>
inline constexpr auto fields<StopPrepared> = std::tuple(&StopPrepared::use,
                                                        &StopPrepared::last_answered);
template <>
inline constexpr auto fields<StopRequested> = std::tuple(&StopRequested::signal,
                                                         &StopRequested::sender_pid,
                                                         &StopRequested::from_engine);
template <>
inline constexpr auto fields<Ended> = std::tuple(&Ended::how,
                                                 &Ended::code,
                                                 &Ended::signal,
                                                 &Ended::core_dumped,
                                                 &Ended::out_of_memory,
                                                 &Ended::by_us,
                                                 &Ended::told_stop,
                                                 &Ended::engine_gone,
                                                 &Ended::time_ns,
                                                 &Ended::leftovers,
                                                 &Ended::detail,
                                                 &Ended::stderr_tail,
                                                 &Ended::error_file);
template <>
inline constexpr auto fields<Drained> = std::tuple();
template <>
inline constexpr auto fields<EnvironmentEntry> = std::tuple(&EnvironmentEntry::name,
                                                            &EnvironmentEntry::value);
template <>
inline constexpr auto fields<SlotLock> = std::tuple(&SlotLock::path, &SlotLock::shared);
template <>
inline constexpr auto fields<Start> = std::tuple(&Start::command,
                                                 &Start::env,
                                                 &Start::workdir,
                                                 &Start::cpus,
                                                 &Start::out_path,
                                                 &Start::err_path,
                                                 &Start::locks,
                                                 &Start::control_path,
                                                 &Start::forward,
                                                 &Start::pty,
                                                 &Start::rows,
                                                 &Start::columns,
                                                 &Start::input);
template <>
inline constexpr auto fields<Credit> = std::tuple(&Credit::bytes);
template <>
inline constexpr auto fields<StopPrepare> = std::tuple();
template <>
inline constexpr auto fields<StopDecide> = std::tuple(&StopDecide::step, &StopDecide::left_ns);
template <>
inline constexpr auto fields<Terminate> = std::tuple(&Terminate::signal, &Terminate::grace_ns);
template <>
inline constexpr auto fields<Signal> = std::tuple(&Signal::signal);
template <>
inline constexpr auto fields<Input> = std::tuple(&Input::bytes, &Input::end);
template <>
inline constexpr auto fields<WindowSize> = std::tuple(&WindowSize::rows, &WindowSize::columns);
template <>
inline constexpr auto fields<Release> = std::tuple();
template <>
inline constexpr auto fields<Operation> = std::tuple(&Operation::begun_ns,
                                                     &Operation::ended_ns,
                                                     &Operation::group,
                                                     &Operation::number,
                                                     &Operation::bytes,
                                                     &Operation::kind,
                                                     &Operation::shape,
                                                     &Operation::root,
                                                     &Operation::ranks);
template <>
inline constexpr auto fields<Activity> = std::tuple(&Activity::operations, &Activity::spent_ns);
template <>
inline constexpr auto fields<Ping> = std::tuple(&Ping::silence_ns, &Ping::time_ns);
template <>
inline constexpr auto fields<Inspect> = std::tuple();
template <>
inline constexpr auto fields<Inspected> = std::tuple(&Inspected::state,
                                                     &Inspected::now_ns,
                                                     &Inspected::operations,
                                                     &Inspected::threads,
                                                     &Inspected::stacks);

// The highest enumerator of every enumeration that travels, so that a received value is always a
// named one.
template <typename T>
constexpr auto last_enumerator = nullptr;
template <>
inline constexpr auto last_enumerator<Stream> = Stream::err;
template <>
inline constexpr auto last_enumerator<ClientUse> = ClientUse::polls;
template <>
inline constexpr auto last_enumerator<Ended::How> = Ended::How::agent_lost;

}  // namespace mpitrain::wire
