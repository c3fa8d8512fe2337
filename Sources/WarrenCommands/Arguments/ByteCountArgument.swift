import ArgumentParser

/// A number of bytes as a command line gives it: `512MiB`, `2GiB`, `64KiB`, or a bare number of bytes.
struct ByteCountArgument: ExpressibleByArgument, Sendable, Hashable {
    var bytes: Int

    /// `nil` if it isn't one, or zero, or too large to count.
    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let units = ["": 0, "KiB": 10, "MiB": 20, "GiB": 30]
        guard let count = Int(digits), count > 0, let shift = units[String(argument.dropFirst(digits.count))] else {
            return nil
        }
        let (bytes, overflows) = count.multipliedReportingOverflow(by: 1 << shift)
        guard !overflows else { return nil }
        self.bytes = bytes
    }
}
