// A page with nothing beside it: plots as SVG, drawn here. Every number in it is ours but names,
// which are escaped.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "mpitrain/sim/report.hpp"

namespace mpitrain::sim {
namespace {

constexpr double width = 760;
constexpr double height = 300;
constexpr double left = 64;
constexpr double bottom = 40;
constexpr double top = 12;
constexpr double right = 28;
constexpr std::array colours = {
    "#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#be123c", "#0f766e", "#a16207", "#475569"};

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

// 90 -> "90 s", 5400 -> "1.5 h".
std::string duration_text(double seconds) {
    if (seconds < 120) {
        return fmt::format("{:.3g} s", seconds);
    }
    if (seconds < 7200) {
        return fmt::format("{:.3g} min", seconds / 60);
    }
    if (seconds < 172800) {
        return fmt::format("{:.3g} h", seconds / 3600);
    }
    return fmt::format("{:.3g} d", seconds / 86400);
}

// The next of 1, 2, 5, 10, … that is at least this.
double round_up(double value) {
    const double power = std::pow(10, std::floor(std::log10(std::max(value, 1.0))));
    for (const double step : {1.0, 2.0, 5.0}) {
        if (step * power >= value) {
            return step * power;
        }
    }
    return 10 * power;
}

struct Axis {
    double low = 0;
    double high = 1;
    bool logarithmic = false;
    std::function<std::string(double)> text = [](double value) {
        return value > 10 ? fmt::format("{:.0f}", value) : fmt::format("{:.2g}", value);
    };

    [[nodiscard]] double part(double value) const {
        if (logarithmic) {
            return std::log(std::max(value, low) / low) / std::log(high / low);
        }
        return (value - low) / (high - low);
    }
    [[nodiscard]] double value_at(double part) const {
        return logarithmic ? low * std::pow(high / low, part) : low + part * (high - low);
    }
};

using Points = std::vector<std::pair<double, double>>;

struct Curve {
    std::string name;
    Points points;
};

std::string plot(std::string_view title,
                 const Axis& across,
                 const Axis& up,
                 const std::vector<Curve>& curves) {
    const double inner_width = width - left - right;
    const double inner_height = height - top - bottom;
    const auto x = [&](double value) { return left + across.part(value) * inner_width; };
    const auto y = [&](double value) { return top + (1 - up.part(value)) * inner_height; };
    std::string svg =
        fmt::format("<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {} {}\" role=\"img\">",
                    escaped(title),
                    width,
                    height);
    constexpr int ticks = 5;
    for (int i = 0; i <= ticks; ++i) {
        const double part = static_cast<double>(i) / ticks;
        const double across_at = left + part * inner_width;
        const double up_at = top + (1 - part) * inner_height;
        svg += fmt::format(
            "<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" "
            "text-anchor=\"middle\">{4}</text>",
            across_at,
            top,
            top + inner_height,
            top + inner_height + 18,
            escaped(across.text(across.value_at(part))));
        svg += fmt::format(
            "<path class=\"grid\" d=\"M{0} {1:.1f}H{2}\"/><text x=\"{3}\" y=\"{4:.1f}\" "
            "text-anchor=\"end\">{5}</text>",
            left,
            up_at,
            left + inner_width,
            left - 8,
            up_at + 4,
            escaped(up.text(up.value_at(part))));
    }
    for (std::size_t i = 0; i < curves.size(); ++i) {
        std::string path;
        for (const auto& [across_value, up_value] : curves[i].points) {
            path += fmt::format(
                "{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', x(across_value), y(up_value));
        }
        svg += fmt::format(
            "<path class=\"curve\" stroke=\"{}\" d=\"{}\"/>", colours[i % colours.size()], path);
    }
    return svg + "</svg></figure>\n";
}

std::string legend(const std::vector<Report>& reports) {
    std::string html = "<p class=\"legend\">";
    for (std::size_t i = 0; i < reports.size(); ++i) {
        html += fmt::format("<span style=\"--c:{}\">{}</span>",
                            colours[i % colours.size()],
                            escaped(reports[i].policy));
    }
    return html + "</p>\n";
}

// Share of jobs that were over within a time of their submission.
std::string completion_plot(const std::vector<Report>& reports) {
    std::vector<Curve> curves;
    Axis across{.low = 1e18, .high = 1, .logarithmic = true, .text = duration_text};
    for (const Report& report : reports) {
        std::vector<double> times;
        for (const JobOutcome& job : report.result.jobs) {
            times.push_back(std::max(job.completion_s(), 1.0));
        }
        std::sort(times.begin(), times.end());
        Curve curve{report.policy, {}};
        constexpr std::size_t points = 400;
        for (std::size_t i = 0; i < points && !times.empty(); ++i) {
            const std::size_t at = i * (times.size() - 1) / (points - 1);
            curve.points.emplace_back(
                times[at], static_cast<double>(at + 1) / static_cast<double>(times.size()));
        }
        if (!times.empty()) {
            across.low = std::min(across.low, times.front());
            across.high = std::max(across.high, times.back());
        }
        curves.push_back(std::move(curve));
    }
    across.high = std::max(across.high, across.low * 10);
    return plot("Share of jobs complete, by time since submission", across, {}, curves);
}

std::string time_plot(const std::vector<Report>& reports,
                      std::string_view title,
                      const std::function<double(const Report&, const Moment&)>& value) {
    constexpr std::size_t points = 500;
    std::vector<Curve> curves;
    Axis across{.low = 0, .high = 1, .text = duration_text};
    Axis up;
    for (const Report& report : reports) {
        const auto& moments = report.result.moments;
        Curve curve{report.policy, {}};
        // Means of equal stretches, so that a curve stays readable.
        const std::size_t stretch = std::max<std::size_t>(moments.size() / points, 1);
        for (std::size_t i = 0; i + stretch <= moments.size(); i += stretch) {
            double sum = 0;
            for (std::size_t j = i; j < i + stretch; ++j) {
                sum += value(report, moments[j]);
            }
            const double mean = sum / static_cast<double>(stretch);
            curve.points.emplace_back(moments[i].at_s, mean);
            up.high = std::max(up.high, mean);
        }
        across.high = std::max(across.high, report.result.span_s);
        curves.push_back(std::move(curve));
    }
    up.high = round_up(up.high);
    return plot(title, across, up, curves);
}

std::string row(const std::vector<std::string>& cells, std::string_view kind) {
    std::string html = "<tr>";
    for (const std::string& cell : cells) {
        html += fmt::format("<{0}>{1}</{0}>", kind, escaped(cell));
    }
    return html + "</tr>\n";
}

std::string summary_table(const std::vector<Report>& reports) {
    std::string html = "<table>" + row({"policy",
                                        "jobs",
                                        "mean completion",
                                        "95 %",
                                        "mean wait",
                                        "mean delay of gangs over 8",
                                        "in use",
                                        "idle while queued",
                                        "preemptions"},
                                       "th");
    for (const Report& report : reports) {
        html += row({report.policy,
                     fmt::format("{}", report.result.jobs.size()),
                     duration_text(report.completion.mean),
                     duration_text(report.completion.p95),
                     duration_text(report.wait.mean),
                     duration_text(report.gang_delay.mean),
                     fmt::format("{:.1f} %", 100 * report.utilisation),
                     fmt::format("{:.2f} %", 100 * report.idle_while_queued),
                     fmt::format("{}", report.result.preemptions)},
                    "td");
    }
    return html + "</table>\n";
}

// Who was delayed, preempted time included: by size, and the accounts whose jobs were the most.
std::string delay_tables(const Report& report) {
    struct Delays {
        double sum = 0, longest = 0;
        std::size_t jobs = 0;
        void add(double delay) {
            sum += delay;
            longest = std::max(longest, delay);
            ++jobs;
        }
    };
    std::map<int, Delays> sizes;  // by the largest size of the group
    std::map<std::string, Delays> accounts;
    for (const JobOutcome& job : report.result.jobs) {
        const int group = job.gpus <= 1 ? 1 : job.gpus <= 4 ? 4 : job.gpus <= 8 ? 8 : 1 << 20;
        sizes[group].add(job.delay_s());
        accounts[job.account].add(job.delay_s());
    }
    std::string html = "<table>" + row({"size", "jobs", "mean delay", "longest delay"}, "th");
    for (const auto& [size, delays] : sizes) {
        html += row({size == 1   ? "1 GPU"
                     : size == 4 ? "2 to 4"
                     : size == 8 ? "5 to 8"
                                 : "more than 8",
                     fmt::format("{}", delays.jobs),
                     duration_text(delays.sum / static_cast<double>(delays.jobs)),
                     duration_text(delays.longest)},
                    "td");
    }
    html += "</table>\n";
    std::vector<std::pair<std::string, Delays>> most(accounts.begin(), accounts.end());
    std::stable_sort(most.begin(), most.end(), [](const auto& a, const auto& b) {
        return a.second.sum > b.second.sum;
    });
    most.resize(std::min<std::size_t>(most.size(), 10));
    html += "<table>" + row({"account", "jobs", "mean delay", "longest delay"}, "th");
    for (const auto& [name, delays] : most) {
        html += row({name.empty() ? "(none)" : name,
                     fmt::format("{}", delays.jobs),
                     duration_text(delays.sum / static_cast<double>(delays.jobs)),
                     duration_text(delays.longest)},
                    "td");
    }
    html += "</table>\n";
    if (!report.result.answers.causes.empty()) {
        html += "<table>" + row({"what jobs waited for when they came", "jobs"}, "th");
        for (const auto& [cause, count] : report.result.answers.causes) {
            html += row({cause, fmt::format("{}", count)}, "td");
        }
        html += "</table>\n";
    }
    return html;
}

constexpr std::string_view style =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:2rem auto;padding:0 1rem;"
    "color:#1f2937}h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}"
    "figure{margin:1.5rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}"
    "svg text{font-size:11px;fill:#4b5563}.grid{stroke:#e5e7eb;fill:none}"
    ".curve{fill:none;stroke-width:1.8}.legend span{margin-right:1.2rem}"
    ".legend span::before{content:\"\";display:inline-block;width:1em;height:.25em;"
    "margin-right:.4em;vertical-align:middle;background:var(--c)}"
    "table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}"
    "td,th{padding:.2rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid #e5e7eb}"
    "td:first-child,th:first-child{text-align:left}th{font-weight:600;font-size:.85em}";

}  // namespace

std::string to_html(const std::vector<Report>& reports, std::string_view title) {
    std::string html = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>"
        "<style>{1}</style></head>\n<body><h1>{0}</h1>\n",
        escaped(title),
        style);
    html += legend(reports);
    html += summary_table(reports);
    html += completion_plot(reports);
    html += time_plot(reports, "GPUs in use", [](const Report&, const Moment& moment) {
        return static_cast<double>(moment.busy_gpus);
    });
    html += time_plot(reports, "Jobs in the queue", [](const Report&, const Moment& moment) {
        return static_cast<double>(moment.pending);
    });
    for (const Report& report : reports) {
        html += fmt::format("<h2>Who was delayed: {}</h2>\n", escaped(report.policy));
        html += delay_tables(report);
    }
    return html + "</body></html>\n";
}

}  // namespace mpitrain::sim
