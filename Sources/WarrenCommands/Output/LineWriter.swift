import Foundation
import Synchronization

/// Writes lines to a file descriptor, and never waits for whoever reads them.
///
/// A worker goes on when the reader of its log has stopped reading or is gone, or when the disk is full: the lines that
/// can't be written are left out, and the next one that can says how many.
final class LineWriter: Sendable {
    static let standardError = LineWriter(STDERR_FILENO)

    /// A number of bytes that a pipe takes without blocking once it is ready for writing: POSIX's `PIPE_BUF`.
    private static let chunkSize = 512

    private let descriptor: Int32
    /// The number of lines left out since the last one that was written.
    private let leftOut = Mutex(0)

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Writes a line, which ends with a line break, or leaves it out.
    func write(_ line: Data) {
        leftOut.withLock { leftOut in
            if leftOut > 0 {
                guard isWritten(Data("\(leftOut) log lines were left out, because they could not be written.\n".utf8))
                else {
                    leftOut += 1
                    return
                }
                leftOut = 0
            }
            if !isWritten(line) { leftOut += 1 }
        }
    }

    /// Writes data as far as the descriptor takes it without blocking; returns false if that isn't all.
    private func isWritten(_ data: Data) -> Bool {
        var rest = data
        while !rest.isEmpty {
            var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard unsafe poll(&request, 1, 0) == 1, Int32(request.revents) & POLLOUT != 0 else { return false }
            let chunk = rest.prefix(Self.chunkSize)
            let count = unsafe chunk.withUnsafeBytes { bytes in
                unsafe Foundation.write(descriptor, bytes.baseAddress, bytes.count)
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
