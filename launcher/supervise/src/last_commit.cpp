#include "last_commit.hpp"

#include <nlohmann/json.hpp>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/manifest.hpp"

namespace mpitrain {
namespace {

// JSON that does not claim to be of ours.
bool is_of_another_format(std::string_view manifest) {
    const auto json = nlohmann::json::parse(manifest, nullptr, false);
    if (!json.is_object()) {
        return false;
    }
    const auto schema = json.find("schema");
    return schema == json.end() || !schema->is_string() ||
           !schema->get_ref<const std::string&>().starts_with("mpitrain.");
}

}  // namespace

LastCommit find_last_commit(FileSystem& files, const std::string& checkpoint_dir) {
    LastCommit last;
    if (checkpoint_dir.empty()) {
        return last;
    }
    const auto commits = checkpoint::list_commits(files, checkpoint_dir);
    if (!commits) {
        return last;
    }
    for (const checkpoint::CommitDirectory& commit : *commits) {
        const auto manifest = checkpoint::read_manifest(files, commit.path);
        bool good = manifest.has_value();
        if (!good) {
            const auto text = checkpoint::read_manifest_text(files, commit.path);
            good = text && is_of_another_format(*text);
        }
        if (good) {
            last.good = {commit.step, commit.path};
            break;
        }
        last.damaged.push_back(manifest.error().text());
    }
    return last;
}

}  // namespace mpitrain
