// Where a job may run: the nodes it names, and windows in which nodes are set apart.
#include <algorithm>

#include "core_state.hpp"

namespace mpitrain::scheduler {

bool Core::State::runs_into(const Job& one, const WindowState& window) const {
    if (window.open) {
        return true;
    }
    const auto& estimate = one.request.estimate;
    if (!estimate) {
        return !one.request.preemptible;
    }
    return *estimate - one.attained > window.window.begin - now_;
}

bool Core::State::is_restricted(const Job& one) const {
    if (!class_of(one).allowed.empty() || !one.request.window.empty()) {
        return true;
    }
    return std::any_of(windows_.begin(), windows_.end(), [&](const auto& entry) {
        return !entry.second.open && runs_into(one, entry.second);  // open ones' nodes are closed
    });
}

bool Core::State::may_use(const Job& one, NodeId node) const {
    const auto number = static_cast<std::size_t>(node.value());
    const std::vector<char>& allowed = class_of(one).allowed;
    if (!allowed.empty() && allowed[number] == 0) {
        return false;
    }
    if (!one.request.window.empty()) {
        const auto own = windows_.find(one.request.window);
        return own != windows_.end() && own->second.open && own->second.window.reserved &&
               own->second.in[number] != 0 && down_[number] == 0;
    }
    return tree_.is_open(node) && std::none_of(windows_.begin(), windows_.end(), [&](auto& entry) {
               return entry.second.in[number] != 0 && runs_into(one, entry.second);
           });
}

// As the tree's find, on nodes that the job may use. O(nodes) where the first choice is not.
std::optional<Allocation> Core::State::find_for(const Job& one, const PoolNeed& need) const {
    if (!is_restricted(one)) {
        return tree_.find(need);
    }
    const auto allowed = [&](NodeId node) { return may_use(one, node); };
    if (class_of(one).allowed.empty() && one.request.window.empty()) {
        auto found = tree_.find(need);
        const auto is_allowed = [&](const NodeSlots& piece) { return allowed(piece.node); };
        if (!found || std::all_of(found->begin(), found->end(), is_allowed)) {
            return found;
        }
    }
    return tree_.find_among(need, allowed);
}

// Opens or closes a node in the tree, as all that is known of it says.
void Core::State::refresh(NodeId node) {
    const auto number = static_cast<std::size_t>(node.value());
    touch(node);
    drop_plans();
    if (down_[number] != 0 || set_apart_[number] > 0) {
        tree_.close(node);
    } else {
        tree_.open(node);
        changed_ = true;
    }
}

void Core::State::apply(const WindowSet& event) {
    if (windows_.contains(event.window.name)) {
        apply(WindowLifted{event.window.name});
    }
    WindowState state{event.window, false, std::vector<char>(on_node_.size(), 0)};
    for (const NodeId node : event.window.nodes) {
        state.in[static_cast<std::size_t>(node.value())] = 1;
    }
    windows_.insert_or_assign(event.window.name, std::move(state));
    for (const NodeId node : event.window.nodes) {
        touch(node);
    }
    changed_ = true;
    run_windows();
}

void Core::State::apply(const WindowLifted& event) {
    const auto found = windows_.find(event.name);
    if (found->second.open) {
        end(found->second);
    }
    for (const NodeId node : found->second.window.nodes) {
        touch(node);
    }
    windows_.erase(found);
    changed_ = true;
}

void Core::State::run_windows() {
    for (auto entry = windows_.begin(); entry != windows_.end();) {
        WindowState& state = entry->second;
        if (!state.open && state.window.begin <= now_ && now_ < state.window.end) {
            begin(state);
        }
        if (state.window.end <= now_) {
            if (state.open) {
                end(state);
            }
            for (const NodeId node : state.window.nodes) {
                touch(node);
            }
            entry = windows_.erase(entry);
            changed_ = true;
        } else {
            ++entry;
        }
    }
}

void Core::State::begin(WindowState& window) {
    window.open = true;
    for (std::size_t number = 0; number < window.in.size(); ++number) {
        if (window.in[number] == 0) {
            continue;
        }
        const NodeId node(static_cast<int>(number));
        ++set_apart_[number];
        refresh(node);
        const auto here = on_node_[number];
        for (const JobIndex index : here) {
            if (job(index).state == GangState::running) {
                stop(index, StopReason::window);
            }
        }
    }
    changed_ = true;
}

void Core::State::end(WindowState& window) {
    window.open = false;
    for (std::size_t number = 0; number < window.in.size(); ++number) {
        if (window.in[number] != 0) {
            --set_apart_[number];
            refresh(NodeId(static_cast<int>(number)));
        }
    }
}

Nanoseconds Core::State::next_window() const {
    Nanoseconds next = never;
    for (const auto& [name, state] : windows_) {
        next = std::min(next, state.open ? state.window.end : state.window.begin);
    }
    return next;
}

}  // namespace mpitrain::scheduler
