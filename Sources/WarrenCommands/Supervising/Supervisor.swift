import Foundation
import Logging
import UnixSignals

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// Keeps a number of worker processes running, and shuts them down on request.
struct Supervisor: Sendable {
    private let children: [Child]
    private let machine: SupervisorMachine
    private let logger: Logger

    /// Creates a supervisor of children that run this program.
    ///
    /// - Parameter stopTimeout: The time for which children may finish their jobs before they are killed.
    init(processes: Int, arguments: ChildArguments, stopTimeout: Duration, logger: Logger) {
        let program = FilePath(Bundle.main.executablePath ?? CommandLine.arguments[0])
        children = (1...processes).map { Child($0, program: program, arguments: arguments.child($0)) }
        machine = SupervisorMachine(children: processes, stopTimeout: stopTimeout)
        self.logger = logger
    }

    /// Runs until it was asked to stop and all children have ended.
    ///
    /// Returns the exit code.
    func run() async -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup, .sigquit)
        let (events, feed) = AsyncStream.makeStream(of: SupervisorMachine.Event.self)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await signal in signals {
                    logger.info("Supervisor stopping", metadata: ["signal": "\(signal)"])
                    feed.yield(signal == .sigquit ? .stopNow : .stop)
                }
            }
            var machine = machine
            for action in machine.begin() { perform(action, feed, &group) }
            for await event in events {
                note(event)
                for action in machine.handle(event) {
                    if case .finish(let code) = action {
                        group.cancelAll()
                        return code
                    }
                    perform(action, feed, &group)
                }
            }
            return 1
        }
    }

    private func perform(
        _ action: SupervisorMachine.Action,
        _ feed: AsyncStream<SupervisorMachine.Event>.Continuation,
        _ group: inout TaskGroup<Void>
    ) {
        switch action {
        case .start(let index):
            group.addTask {
                let start = ContinuousClock.now
                let child = children[index]
                let cameUp = Task {
                    try await Task.sleep(for: SupervisorMachine.upAfter)
                    feed.yield(.cameUp(index))
                }
                let ending = await child.run {
                    logger.info("Worker process started", metadata: metadata(child))
                    feed.yield(.started(index))
                }
                cameUp.cancel()
                feed.yield(.ended(index, ending, ran: start.duration(to: .now)))
            }
        case .pause(let index, let pause):
            logger.info("Restarting worker process", metadata: metadata(children[index], ["delay": "\(pause)"]))
            group.addTask { if (try? await Task.sleep(for: pause)) != nil { feed.yield(.pauseEnded(index)) } }
        case .wait(let timeout):
            group.addTask { if (try? await Task.sleep(for: timeout)) != nil { feed.yield(.stopTimeoutElapsed) } }
        case .stop(let index): children[index].stop()
        case .stopNow(let index): children[index].stopNow()
        case .kill(let index):
            logger.warning("Worker process did not end in time; killing it", metadata: metadata(children[index]))
            children[index].kill()
        case .giveUp:
            logger.critical(
                "No worker process ever came up, so the supervisor ends: see their own messages above",
                metadata: ["starts": "\(SupervisorMachine.mostStarts)"]
            )
        case .finish: break
        }
    }

    private func note(_ event: SupervisorMachine.Event) {
        guard case .ended(let index, let ending, let ran) = event else { return }
        let child = children[index]
        switch ending {
        case .exited(0), .exited(WorkerExit.recycled):
            logger.info("Worker process ended", metadata: metadata(child, ["ran": "\(ran)"]))
        case .exited(let code):
            logger.warning(
                "Worker process failed; the broker redelivers its unsettled jobs",
                metadata: metadata(child, ["exit-code": "\(code)", "ran": "\(ran)"])
            )
        case .signalled(let signal):
            logger.error(
                "Worker process crashed; the broker redelivers its unsettled jobs",
                metadata: metadata(child, ["signal": "\(signal)", "ran": "\(ran)"])
            )
        case .notStarted(let reason):
            logger.error("Worker process can't be started", metadata: metadata(child, ["reason": "\(reason)"]))
        }
    }

    private func metadata(_ child: Child, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
        more.merging(["process": "\(child.number)", "pid": "\(child.processID)"]) { one, _ in one }
    }
}
