import Foundation

/// How much memory this process has resident.
enum ResidentMemory {
    /// In bytes; `nil` where the system has no `/proc`.
    static func current() -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        return parse(status)
    }

    /// Finds `VmRSS`, which proc(5) gives in KiB.
    static func parse(_ status: String) -> Int? {
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }) else { return nil }
        return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
    }
}
