#include "mpitrain/jobfile/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

namespace mpitrain::jobfile {
namespace {

struct Mistake {
    int line = 0;
    int column = 0;
    std::string what;
    std::string_view mend;
};

std::size_t count_nodes(const YamlNode& node) {
    std::size_t count = 1;
    for (const YamlNode& item : node.items) {
        count += count_nodes(item);
    }
    for (const YamlEntry& entry : node.entries) {
        count += 1 + count_nodes(entry.value);
    }
    return count;
}

// Builds trees from the parser's events. After the first mistake it ignores what comes: the
// interface knows no other way to stop than an exception.
class TreeBuilder : public YAML::EventHandler {
  public:
    std::vector<YamlNode> documents;
    std::optional<Mistake> mistake;

    void OnDocumentStart(const YAML::Mark& /*mark*/) override {
        open_.clear();
        anchors_.clear();
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        add(node_at(mark, YamlNode::Kind::null), anchor, 1);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) {
            fail(mark, "an alias to what is not complete", "write the value out");
            return;
        }
        const std::size_t count = count_nodes(found->second);
        // Checked before copying: the copy itself is the bomb.
        if (!mistake && count > yaml_nodes_max - std::min(nodes_, yaml_nodes_max)) {
            fail(mark, fmt::format("more than {} values", yaml_nodes_max), "use fewer aliases");
        }
        if (!mistake) {
            add(found->second, 0, count);
        }
    }
    void OnScalar(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  const std::string& value) override {
        YamlNode node = node_at(mark, YamlNode::Kind::scalar);
        node.text = value;
        node.quoted = tag != "?";  // the parser's word for a plain scalar
        add(std::move(node), anchor, 1);
    }
    void OnSequenceStart(const YAML::Mark& mark,
                         const std::string& /*tag*/,
                         YAML::anchor_t anchor,
                         YAML::EmitterStyle::value /*style*/) override {
        open(mark, YamlNode::Kind::sequence, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark,
                    const std::string& /*tag*/,
                    YAML::anchor_t anchor,
                    YAML::EmitterStyle::value /*style*/) override {
        open(mark, YamlNode::Kind::mapping, anchor);
    }
    void OnMapEnd() override { close(); }

  private:
    // A sequence or mapping whose end has not come.
    struct Open {
        YamlNode node;
        YAML::anchor_t anchor = 0;
        std::optional<YamlEntry> key;  // of a mapping, read and waiting for its value
        std::map<std::string, int, std::less<>> lines;  // of the mapping's keys
    };

    static YamlNode node_at(const YAML::Mark& mark, YamlNode::Kind kind) {
        YamlNode node;
        node.kind = kind;
        node.line = mark.line + 1;
        node.column = mark.column + 1;
        return node;
    }

    void fail(const YAML::Mark& mark, std::string what, std::string_view mend) {
        fail(Mistake{mark.line + 1, mark.column + 1, std::move(what), mend});
    }
    void fail(Mistake found) {
        if (!mistake) {
            mistake = std::move(found);
        }
    }

    void open(const YAML::Mark& mark, YamlNode::Kind kind, YAML::anchor_t anchor) {
        if (open_.size() == yaml_depth_max) {
            fail(mark, fmt::format("nested more than {} deep", yaml_depth_max), "make it flatter");
        }
        if (!mistake) {
            open_.push_back({node_at(mark, kind), anchor, std::nullopt, {}});
        }
    }

    void close() {
        if (mistake || open_.empty()) {
            return;
        }
        Open ended = std::move(open_.back());
        open_.pop_back();
        add(std::move(ended.node), ended.anchor, 1);
    }

    // Puts a whole value where it belongs; `count` nodes are new in it.
    void add(YamlNode node, YAML::anchor_t anchor, std::size_t count) {
        nodes_ += count + (anchor == 0 ? 0 : count_nodes(node));  // an anchor keeps a copy
        if (nodes_ > yaml_nodes_max) {
            fail({node.line,
                  node.column,
                  fmt::format("more than {} values", yaml_nodes_max),
                  "make it smaller"});
        }
        if (mistake) {
            return;
        }
        if (anchor != 0) {
            anchors_[anchor] = node;
        }
        if (open_.empty()) {
            documents.push_back(std::move(node));
        } else if (Open& parent = open_.back(); parent.node.kind == YamlNode::Kind::sequence) {
            parent.node.items.push_back(std::move(node));
        } else if (parent.key) {
            parent.key->value = std::move(node);
            parent.node.entries.push_back(*std::move(parent.key));
            parent.key.reset();
        } else {
            read_key(parent, node);
        }
    }

    void read_key(Open& parent, const YamlNode& node) {
        if (node.kind != YamlNode::Kind::scalar) {
            fail({node.line, node.column, "a key that is no plain text", "write key: value"});
            return;
        }
        if (node.text == "<<" && !node.quoted) {
            fail({node.line, node.column, "merge keys are not read", "write the keys out"});
            return;
        }
        const auto [before, is_new] = parent.lines.try_emplace(node.text, node.line);
        if (!is_new) {
            fail({node.line,
                  node.column,
                  fmt::format("'{}' is here twice, first in line {}", node.text, before->second),
                  "give it once"});
            return;
        }
        parent.key = YamlEntry{node.text, node.line, node.column, {}};
    }

    std::vector<Open> open_;
    std::map<YAML::anchor_t, YamlNode> anchors_;
    std::size_t nodes_ = 0;
};

// The parser takes some control characters for the end of the text, and none belongs into a job.
std::optional<Mistake> find_control_character(std::string_view text) {
    int line = 1;
    std::size_t start = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n') {
            ++line;
            start = i + 1;
        } else if ((c >= '\0' && c < ' ' && c != '\t' && c != '\r') || c == '\x7f') {
            return Mistake{
                line,
                static_cast<int>(i - start) + 1,
                fmt::format("a control character ({:#04x})", static_cast<unsigned char>(c)),
                "is this a YAML file?"};
        }
    }
    return std::nullopt;
}

std::optional<Mistake> parse(std::string_view text, TreeBuilder& builder) {
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (!builder.mistake && parser.HandleNextDocument(builder)) {
        }
    } catch (const YAML::Exception& error) {
        if (builder.mistake) {
            return builder.mistake;
        }
        if (error.mark.is_null()) {
            return Mistake{1, 1, error.msg, ""};
        }
        return Mistake{error.mark.line + 1, error.mark.column + 1, error.msg, ""};
    }
    return builder.mistake;
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
    const auto found = std::ranges::find(entries, key, &YamlEntry::key);
    return found == entries.end() ? nullptr : &found->value;
}

Result<std::vector<YamlNode>> read_yaml(std::string_view text, std::string_view name) {
    if (text.size() > yaml_bytes_max) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("longer than {} bytes", yaml_bytes_max))
            .at(name);
    }
    std::optional<Mistake> mistake = find_control_character(text);
    TreeBuilder builder;
    if (!mistake) {
        mistake = parse(text, builder);
    }
    if (mistake) {
        return Error(ErrorCode::invalid_argument, mistake->what)
            .at(fmt::format("{}:{}:{}", name, mistake->line, mistake->column))
            .mend(mistake->mend);
    }
    return std::move(builder.documents);
}

std::string place(std::string_view name, const YamlNode& node) {
    return fmt::format("{}:{}:{}", name, node.line, node.column);
}

std::string place(std::string_view name, const YamlEntry& entry) {
    return fmt::format("{}:{}:{}", name, entry.line, entry.column);
}

}  // namespace mpitrain::jobfile
