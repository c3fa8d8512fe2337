import Dispatch
import Foundation
import Synchronization

/// Writes lines to a file on a separate thread, so that nobody who logs waits for a reader.
///
/// A worker continues when the reader of its log has stopped reading or ended, or when the disk is full: lines that
/// find no room, or can't be written, are left out, and the next one that is written says how many.
final class LineWriter: Sendable {
    private struct State: Sendable {
        var waiting = Data()
        var isWriting = false
        /// The number of lines left out since the last one that was accepted.
        var leftOut = 0
    }

    static let standardError: LineWriter = {
        atexit { LineWriter.standardError.flush() }
        return LineWriter(.standardError)
    }()

    /// The most bytes that wait for the reader.
    private static let capacity = 1 << 20
    /// The time that the end of the program waits for the reader.
    private static let patience = DispatchTimeInterval.seconds(1)

    private let file: FileHandle
    private let queue = DispatchQueue(label: "warren.log")
    private let state = Mutex(State())

    init(_ file: FileHandle) { self.file = file }

    /// Accepts a line, which ends with a line break, or leaves it out.
    func write(_ line: Data) {
        let mustStart = state.withLock { state in
            guard state.waiting.count + line.count <= Self.capacity else {
                state.leftOut += 1
                return false
            }
            if state.leftOut > 0 {
                let notice = "\(state.leftOut) log lines were left out, because they could not be written.\n"
                state.waiting += Data(notice.utf8)
                state.leftOut = 0
            }
            state.waiting += line
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if mustStart { queue.async { self.writeWaiting() } }
    }

    /// Waits until all accepted lines are written, for a second at most.
    func flush() {
        let isDone = DispatchSemaphore(value: 0)
        queue.async { isDone.signal() }
        _ = isDone.wait(timeout: .now() + Self.patience)
    }

    private func writeWaiting() {
        while true {
            let waiting: Data? = state.withLock { state in
                if state.waiting.isEmpty {
                    state.isWriting = false
                    return nil
                }
                defer { state.waiting = Data() }
                return state.waiting
            }
            guard let waiting else { return }
            do {
                try file.write(contentsOf: waiting)
            } catch {
                // There is no other place to report it.
                let lines = waiting.count { $0 == UInt8(ascii: "\n") }
                state.withLock { $0.leftOut += lines }
            }
        }
    }
}
