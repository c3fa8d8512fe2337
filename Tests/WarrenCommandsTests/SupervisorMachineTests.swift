import Testing

@testable import WarrenCommands

@Suite struct SupervisorMachineTests {
    private func working(_ count: Int = 2) -> SupervisorMachine {
        var machine = SupervisorMachine(children: count, stopTimeout: .seconds(37))
        for index in 0..<count {
            _ = machine.handle(.started(index))
            _ = machine.handle(.cameUp(index))
        }
        return machine
    }

    private func pause(_ actions: [SupervisorMachine.Action]) -> Duration? {
        guard case .pause(_, let pause)? = actions.first, actions.count == 1 else { return nil }
        return pause
    }

    @Test func `The supervisor begins by starting all children`() {
        #expect(SupervisorMachine(children: 2, stopTimeout: .zero).begin() == [.start(0), .start(1)])
    }

    @Test func `A child that ends unexpectedly is restarted after a growing, bounded pause`() throws {
        var machine = working(1)
        var pauses: [Duration] = []
        for _ in 0..<8 {
            pauses.append(try #require(pause(machine.handle(.ended(0, .signalled(9), ran: .seconds(1))))))
            #expect(machine.handle(.pauseEnded(0)) == [.start(0)])
            _ = machine.handle(.started(0))
        }
        #expect(pauses[0] <= .seconds(1))
        #expect(pauses[4] > .seconds(5))
        #expect(pauses.allSatisfy { $0 >= .milliseconds(500) && $0 <= .seconds(30) })
    }

    @Test func `A child that ran for a while is restarted soon`() throws {
        var machine = working(1)
        for _ in 0..<6 {
            _ = machine.handle(.ended(0, .exited(1), ran: .seconds(1)))
            _ = machine.handle(.pauseEnded(0))
        }
        let soon = try #require(pause(machine.handle(.ended(0, .exited(1), ran: .seconds(31)))))
        #expect(soon <= .seconds(1))
    }

    @Test func `A child that asks to be replaced as soon as it has started waits as one that fails`() {
        var machine = working()
        #expect(pause(machine.handle(.ended(1, .exited(WorkerExit.recycled), ran: .seconds(9)))) != nil)
    }

    @Test func `A supervisor none of whose children ever came up ends with an error`() {
        var machine = SupervisorMachine(children: 2, stopTimeout: .seconds(37))
        for _ in 1..<SupervisorMachine.mostStarts {
            for child in 0...1 {
                _ = machine.handle(.started(child))
                #expect(pause(machine.handle(.ended(child, .exited(1), ran: .seconds(9)))) != nil)
                #expect(machine.handle(.pauseEnded(child)) == [.start(child)])
            }
        }
        #expect(pause(machine.handle(.ended(0, .exited(1), ran: .seconds(9)))) != nil)
        #expect(machine.handle(.ended(1, .exited(1), ran: .seconds(9))) == [.giveUp, .wait(.seconds(37)), .finish(1)])
    }

    @Test func `A child that asks to be replaced is replaced without a pause`() {
        var machine = working()
        #expect(machine.handle(.ended(1, .exited(WorkerExit.recycled), ran: .seconds(11))) == [.start(1)])
    }

    @Test func `A child that can't be started is retried`() {
        var machine = working(1)
        #expect(pause(machine.handle(.ended(0, .notStarted("no memory"), ran: .zero))) != nil)
    }

    @Test func `A child with an invalid command line ends the supervisor, since restarting wouldn't help`() {
        var machine = working()
        #expect(machine.handle(.ended(0, .exited(64), ran: .zero)) == [.stop(1), .wait(.seconds(37))])
        #expect(machine.handle(.ended(1, .exited(0), ran: .zero)) == [.finish(64)])
    }

    @Test func `A supervisor that is asked to stop asks its children, waits for all, and exits cleanly`() {
        var machine = working()
        #expect(machine.handle(.stop) == [.stop(0), .stop(1), .wait(.seconds(37))])
        #expect(machine.handle(.ended(0, .exited(0), ran: .seconds(1))) == [])
        #expect(machine.handle(.ended(1, .exited(0), ran: .seconds(1))) == [.finish(0)])
    }

    @Test func `A second request makes the supervisor ask its children to end at once, within a short time`() {
        var machine = working(1)
        _ = machine.handle(.stop)
        #expect(machine.handle(.stop) == [.stopNow(0), .wait(.seconds(5))])
        #expect(machine.handle(.stop) == [])
        #expect(machine.handle(.stopTimeoutElapsed) == [.kill(0)])
        #expect(machine.handle(.stopTimeoutElapsed) == [])
        #expect(machine.handle(.ended(0, .signalled(9), ran: .seconds(1))) == [.finish(1)])
    }

    @Test func `Children that don't end in time are killed, and the exit code reports it`() {
        var machine = working()
        _ = machine.handle(.stop)
        _ = machine.handle(.ended(0, .exited(0), ran: .seconds(1)))
        #expect(machine.handle(.stopTimeoutElapsed) == [.kill(1)])
        #expect(machine.handle(.ended(1, .signalled(9), ran: .seconds(1))) == [.finish(1)])
    }

    @Test func `A child that was starting when the request came gets it once it runs`() {
        var machine = SupervisorMachine(children: 1, stopTimeout: .seconds(37))
        #expect(machine.handle(.stop) == [.wait(.seconds(37))])
        #expect(machine.handle(.started(0)) == [.stop(0)])
        #expect(machine.handle(.ended(0, .exited(0), ran: .zero)) == [.finish(0)])
    }

    @Test func `A child that waits to be restarted doesn't delay the end`() {
        var machine = working(1)
        _ = machine.handle(.ended(0, .exited(1), ran: .zero))
        #expect(machine.handle(.stop).last == .finish(0))
        #expect(machine.handle(.pauseEnded(0)) == [])
    }

    @Test func `A hard time limit while stopping makes the exit code a failure`() {
        var machine = working(1)
        _ = machine.handle(.stopNow)
        #expect(machine.handle(.ended(0, .exited(75), ran: .zero)) == [.finish(1)])
    }
}
