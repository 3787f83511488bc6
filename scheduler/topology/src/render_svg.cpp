#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "mpitrain/topology/render.hpp"
#include "summary.hpp"

// A fixed page width; everything flows down from the title: panels of NUMA nodes, then the link
// matrix.
namespace mpitrain::topology {
namespace {

constexpr int page_width = 1200;
constexpr int margin = 32;
constexpr int gap = 16;
constexpr int padding = 16;
constexpr int core_pitch = 14;
constexpr int core_side = 11;
constexpr int card_height = 92;
constexpr int card_width_min = 216;
constexpr int place_unknown = 1 << 30;  // sorts behind every NUMA node
constexpr const char* ink = "#1b2733";
constexpr const char* faint = "#5c6b7a";

constexpr std::array slot_colours = {"#2f6fde",
                                     "#e0693e",
                                     "#2a9d6f",
                                     "#a04fc4",
                                     "#c9a11a",
                                     "#d64f7f",
                                     "#2aa1b8",
                                     "#7a5f3e",
                                     "#6c7ae0",
                                     "#8ab33a",
                                     "#b03a3a",
                                     "#3f8f8f",
                                     "#c77fd6",
                                     "#4d7a2a",
                                     "#e09a3e",
                                     "#5a6b8c"};

const char* colour_of(std::size_t slot) {
    return slot_colours[slot % slot_colours.size()];
}

std::string escape(std::string_view text) {
    std::string safe;
    for (const char c : text) {
        if (c == '&') {
            safe += "&amp;";
        } else if (c == '<') {
            safe += "&lt;";
        } else if (c == '>') {
            safe += "&gt;";
        } else if (c == '"') {
            safe += "&quot;";
        } else if (static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f) {
            safe += c;
        } else {
            safe += '?';  // names are ASCII; control characters are not allowed in XML
        }
    }
    return safe;
}

std::string shortened(const std::string& text, std::size_t length) {
    return text.size() <= length ? text : text.substr(0, length - 3) + "...";
}

struct Box {
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
};

class Canvas {
  public:
    void rectangle(const Box& box, std::string_view fill, int radius, std::string_view more = "") {
        body_ += fmt::format(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\" fill=\"{}\" {}/>\n",
            box.x,
            box.y,
            box.width,
            box.height,
            radius,
            fill,
            more);
    }
    void text(int x,
              int y,
              int size,
              std::string_view what,
              std::string_view fill = ink,
              std::string_view more = "") {
        body_ += fmt::format("<text x=\"{}\" y=\"{}\" font-size=\"{}\" fill=\"{}\" {}>{}</text>\n",
                             x,
                             y,
                             size,
                             fill,
                             more,
                             escape(what));
    }
    [[nodiscard]] std::string document(int height, std::string_view title) const {
        return fmt::format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
            "height=\"{1}\" role=\"img\" font-family=\"'DejaVu Sans', 'Segoe UI', Helvetica, "
            "Arial, "
            "sans-serif\">\n<title>{2}</title>\n"
            "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n{3}</svg>\n",
            page_width,
            height,
            escape(title),
            body_);
    }

  private:
    std::string body_;
};

// One NUMA node, or what has no known one, with the cores and GPUs drawn inside.
struct Panel {
    std::string title;
    std::vector<const CpuSet*> cores;
    std::vector<const Slot*> gpus;
};

std::vector<Panel> panels_of(const NodeTopology& node) {
    std::map<int, Panel> panels;
    for (const NumaNode& numa : node.numa_nodes) {
        panels[numa.id].title = fmt::format("NUMA node {}", numa.id);
        if (numa.memory.count() > 0) {
            panels[numa.id].title += ", " + numa.memory.to_string();
        }
    }
    const auto panel_at = [&panels](int numa) -> Panel& {
        const auto found = panels.find(numa);
        Panel& panel = found == panels.end() ? panels[place_unknown] : found->second;
        panel.title = panel.title.empty() ? "Place not known" : panel.title;
        return panel;
    };
    for (const CpuSet& core : node.cores) {
        panel_at(numa_holding(node, core)).cores.push_back(&core);
    }
    for (const Slot& slot : node.slots) {
        if (slot.kind == SlotKind::gpu) {
            panel_at(slot.numa.empty() ? -1 : slot.numa.front()).gpus.push_back(&slot);
        }
    }
    std::vector<Panel> result;
    for (auto& [id, panel] : panels) {
        result.push_back(std::move(panel));
    }
    return result;
}

int rows_for(std::size_t count, int per_row) {
    return (static_cast<int>(count) + per_row - 1) / per_row;
}

int cores_per_row(int width) {
    return std::max(1, (width - 2 * padding) / core_pitch);
}

int cards_per_row(int width) {
    return std::max(1, (width - 2 * padding + gap) / (card_width_min + gap));
}

int height_of(const Panel& panel, int width) {
    const int cores = rows_for(panel.cores.size(), cores_per_row(width)) * core_pitch;
    const int cards = rows_for(panel.gpus.size(), cards_per_row(width)) * (card_height + gap);
    return padding + 24 + cores + (cards > 0 ? gap + cards - gap : 0) + padding;
}

class Drawing {
  public:
    explicit Drawing(const NodeTopology& node) : node_(node) {}

    std::string run() {
        canvas_.text(margin, 52, 24, node_.host, ink, "font-weight=\"700\"");
        canvas_.text(margin, 78, 14, summary_of(node_), faint);
        y_ = 100;
        draw_panels();
        if (node_.links.link_class.size() > 1) {
            draw_links();
        }
        return canvas_.document(y_ + margin - gap, node_.host + ": " + summary_of(node_));
    }

  private:
    void draw_panels() {
        const std::vector<Panel> panels = panels_of(node_);
        const int columns = panels.size() == 1                            ? 1
                            : panels.size() % 4 == 0 && panels.size() > 4 ? 4
                                                                          : 2;
        const int width = (page_width - 2 * margin - (columns - 1) * gap) / columns;
        for (std::size_t first = 0; first < panels.size();
             first += static_cast<std::size_t>(columns)) {
            const std::size_t last =
                std::min(panels.size(), first + static_cast<std::size_t>(columns));
            int height = 0;
            for (std::size_t index = first; index < last; ++index) {
                height = std::max(height, height_of(panels[index], width));
            }
            for (std::size_t index = first; index < last; ++index) {
                const int column = static_cast<int>(index - first);
                draw_panel(panels[index], {margin + column * (width + gap), y_, width, height});
            }
            y_ += height + gap;
        }
    }

    void draw_panel(const Panel& panel, const Box& box) {
        canvas_.rectangle(box, "#f4f6f9", 10, "stroke=\"#d5dce4\"");
        canvas_.text(
            box.x + padding, box.y + padding + 10, 13, panel.title, ink, "font-weight=\"600\"");
        canvas_.text(
            box.x + box.width - padding,
            box.y + padding + 10,
            12,
            fmt::format("{} core{}", panel.cores.size(), panel.cores.size() == 1 ? "" : "s"),
            faint,
            "text-anchor=\"end\"");
        int y = box.y + padding + 24;
        const int per_row = cores_per_row(box.width);
        for (std::size_t index = 0; index < panel.cores.size(); ++index) {
            const int column = static_cast<int>(index) % per_row;
            const int row = static_cast<int>(index) / per_row;
            canvas_.rectangle(
                {box.x + padding + column * core_pitch, y + row * core_pitch, core_side, core_side},
                core_colour(*panel.cores[index]),
                2);
        }
        y += rows_for(panel.cores.size(), per_row) * core_pitch + gap;
        const int across = cards_per_row(box.width);
        const int card_width = (box.width - 2 * padding - (across - 1) * gap) / across;
        for (std::size_t index = 0; index < panel.gpus.size(); ++index) {
            const int column = static_cast<int>(index) % across;
            const int row = static_cast<int>(index) / across;
            draw_card(*panel.gpus[index],
                      {box.x + padding + column * (card_width + gap),
                       y + row * (card_height + gap),
                       card_width,
                       card_height});
        }
    }

    // The colour of the slot that owns the core; without GPUs every core is a slot of its own.
    [[nodiscard]] const char* core_colour(const CpuSet& core) const {
        if (!has_gpu_slots(node_)) {
            return "#2f6fde";
        }
        for (std::size_t slot = 0; slot < node_.slots.size(); ++slot) {
            if (node_.slots[slot].cpus.intersects(core)) {
                return colour_of(slot);
            }
        }
        return "#c9d2dc";
    }

    void draw_card(const Slot& slot, const Box& box) {
        const auto index = static_cast<std::size_t>(slot.slot.value());
        const Gpu gpu = slot.gpus.empty() ? Gpu() : slot.gpus.front();
        const auto letters = static_cast<std::size_t>((box.width - 32) / 7);
        canvas_.rectangle(box, "#ffffff", 8, "stroke=\"#d5dce4\"");
        canvas_.rectangle({box.x, box.y, 6, box.height}, colour_of(index), 3);
        const int x = box.x + 18;
        canvas_.text(x, box.y + 22, 14, fmt::format("GPU {}", index), ink, "font-weight=\"700\"");
        canvas_.text(box.x + box.width - 12,
                     box.y + 22,
                     11,
                     gpu.pci.to_string(),
                     faint,
                     "text-anchor=\"end\"");
        canvas_.text(
            x,
            box.y + 42,
            12,
            shortened(gpu.model.empty() ? std::string(to_string(gpu.vendor)) : gpu.model, letters));
        canvas_.text(x,
                     box.y + 60,
                     11,
                     shortened(gpu.uuid.empty() ? "UUID not known" : gpu.uuid, letters),
                     faint);
        canvas_.text(x,
                     box.y + 79,
                     11,
                     shortened(slot.nics.empty() ? std::string("no NIC near it")
                                                 : fmt::format("{}", fmt::join(slot.nics, ", ")),
                               letters),
                     slot.nics.empty() ? faint : "#14713f");
    }

    void draw_links() {
        const std::size_t side = node_.links.link_class.size();
        const int cell = side <= 8 ? 58 : std::max(20, 820 / static_cast<int>(side));
        const int left = margin + 44;
        canvas_.text(margin, y_ + 22, 16, "Links", ink, "font-weight=\"700\"");
        y_ += 60;
        for (std::size_t a = 0; a < side; ++a) {
            const int offset = static_cast<int>(a) * cell;
            canvas_.text(left + offset + cell / 2,
                         y_ - 8,
                         12,
                         fmt::format("{}", a),
                         faint,
                         "text-anchor=\"middle\"");
            canvas_.text(left - 12,
                         y_ + offset + cell / 2 + 4,
                         12,
                         fmt::format("{}", a),
                         faint,
                         "text-anchor=\"end\"");
            for (std::size_t b = 0; b < side; ++b) {
                draw_cell(
                    a, b, {left + static_cast<int>(b) * cell, y_ + offset, cell - 2, cell - 2});
            }
        }
        draw_legend(left + static_cast<int>(side) * cell + 24, y_);
        y_ += std::max(static_cast<int>(side) * cell, 190) + gap;
    }

    void draw_cell(std::size_t row, std::size_t column, const Box& box) {
        const auto& link_class = node_.links.link_class[row][column];
        canvas_.rectangle(box, row == column ? "#eef1f5" : class_colour(link_class), 4);
        const std::string text = link_text(node_.links, row, column);
        const std::size_t blank = text.find(' ');
        const int middle = box.x + box.width / 2;
        const bool light = link_class && *link_class >= LinkClass::node;
        const char* fill = link_class && !light ? "#ffffff" : ink;
        const int size = box.width >= 46 ? 12 : 10;
        canvas_.text(middle,
                     box.y + box.height / 2 + (blank == std::string::npos ? 4 : -1),
                     size,
                     text.substr(0, blank),
                     fill,
                     "text-anchor=\"middle\"");
        if (blank != std::string::npos) {
            canvas_.text(middle,
                         box.y + box.height / 2 + 13,
                         size - 1,
                         text.substr(blank + 1),
                         fill,
                         "text-anchor=\"middle\"");
        }
    }

    static const char* class_colour(const std::optional<LinkClass>& link_class) {
        if (!link_class) {
            return "#ffffff\" stroke=\"#d5dce4";
        }
        switch (*link_class) {
            case LinkClass::nvl:
                return "#14713f";
            case LinkClass::pix:
                return "#2f6fde";
            case LinkClass::pxb:
                return "#4f83d9";
            case LinkClass::phb:
                return "#7a8fc0";
            case LinkClass::node:
                return "#f1d9a0";
            case LinkClass::sys:
                return "#f2b8a0";
        }
        return "#ffffff";
    }

    // Only what occurs in the matrix is explained.
    void draw_legend(int x, int y) {
        static constexpr std::array<std::pair<LinkClass, const char*>, 6> words = {{
            {LinkClass::nvl, "NVLink, GB/s one way"},
            {LinkClass::pix, "one PCI switch"},
            {LinkClass::pxb, "several PCI switches"},
            {LinkClass::phb, "one host bridge"},
            {LinkClass::node, "one NUMA node"},
            {LinkClass::sys, "across NUMA nodes"},
        }};
        for (const auto& word : words) {
            if (occurs(word.first)) {
                legend_row(x, y, class_colour(word.first), to_string(word.first), word.second);
                y += 28;
            }
        }
        if (occurs(std::nullopt)) {
            legend_row(x, y, class_colour(std::nullopt), "?", "not known");
        }
    }

    void legend_row(
        int x, int y, std::string_view fill, std::string_view name, std::string_view what) {
        canvas_.rectangle({x, y, 18, 18}, fill, 4);
        canvas_.text(x + 28, y + 14, 12, name, ink, "font-weight=\"600\"");
        canvas_.text(x + 76, y + 14, 12, what, faint);
    }

    [[nodiscard]] bool occurs(const std::optional<LinkClass>& link_class) const {
        for (std::size_t row = 0; row < node_.links.link_class.size(); ++row) {
            for (std::size_t column = 0; column < row; ++column) {
                if (node_.links.link_class[row][column] == link_class) {
                    return true;
                }
            }
        }
        return false;
    }

    const NodeTopology& node_;
    Canvas canvas_;
    int y_ = 0;
};

}  // namespace

std::string render_svg(const NodeTopology& node) {
    return Drawing(node).run();
}

}  // namespace mpitrain::topology
