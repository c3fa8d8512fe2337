import Testing

@testable import WarrenCommands

@Suite struct SupervisorMachineTests {
    private func working(_ count: Int = 2) -> SupervisorMachine {
        var machine = SupervisorMachine(children: count, stopTimeout: .seconds(37))
        for index in 0..<count { _ = machine.handle(.started(index)) }
        return machine
    }

    private func pause(_ actions: [SupervisorMachine.Action]) -> Duration? {
        guard case .pause(_, let pause)? = actions.first, actions.count == 1 else { return nil }
        return pause
    }

    @Test func `It begins by starting all children`() {
        #expect(SupervisorMachine(children: 2, stopTimeout: .zero).begin() == [.start(0), .start(1)])
    }

    @Test func `A child that ends unasked is started again after a pause that grows and is bounded`() throws {
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

    @Test func `A child that ran a while before it ended is started again soon`() throws {
        var machine = working(1)
        for _ in 0..<6 {
            _ = machine.handle(.ended(0, .exited(1), ran: .seconds(1)))
            _ = machine.handle(.pauseEnded(0))
        }
        let soon = try #require(pause(machine.handle(.ended(0, .exited(1), ran: .seconds(31)))))
        #expect(soon <= .seconds(1))
    }

    @Test func `A child that asks to be replaced is, without a pause`() {
        var machine = working()
        #expect(machine.handle(.ended(1, .exited(WorkerExit.recycled), ran: .seconds(1))) == [.start(1)])
    }

    @Test func `A child that can't be started is tried again`() {
        var machine = working(1)
        #expect(pause(machine.handle(.ended(0, .notStarted("no memory"), ran: .zero))) != nil)
    }

    @Test func `A child that doesn't understand its command line ends all, for starting again changes nothing`() {
        var machine = working()
        #expect(machine.handle(.ended(0, .exited(64), ran: .zero)) == [.stop(1), .wait(.seconds(37))])
        #expect(machine.handle(.ended(1, .exited(0), ran: .zero)) == [.finish(64)])
    }

    @Test func `Told to stop, it tells its children, waits for all, and ends in order`() {
        var machine = working()
        #expect(machine.handle(.stop) == [.stop(0), .stop(1), .wait(.seconds(37))])
        #expect(machine.handle(.ended(0, .exited(0), ran: .seconds(1))) == [])
        #expect(machine.handle(.ended(1, .exited(0), ran: .seconds(1))) == [.finish(0)])
    }

    @Test func `Told twice, it tells its children to end at once, and gives them a short time`() {
        var machine = working(1)
        _ = machine.handle(.stop)
        #expect(machine.handle(.stop) == [.stopNow(0), .wait(.seconds(5))])
        #expect(machine.handle(.stop) == [])
        #expect(machine.handle(.stopTimeoutElapsed) == [.kill(0)])
        #expect(machine.handle(.stopTimeoutElapsed) == [])
        #expect(machine.handle(.ended(0, .signalled(9), ran: .seconds(1))) == [.finish(1)])
    }

    @Test func `What doesn't end in its time is killed, and the exit code says so`() {
        var machine = working()
        _ = machine.handle(.stop)
        _ = machine.handle(.ended(0, .exited(0), ran: .seconds(1)))
        #expect(machine.handle(.stopTimeoutElapsed) == [.kill(1)])
        #expect(machine.handle(.ended(1, .signalled(9), ran: .seconds(1))) == [.finish(1)])
    }

    @Test func `A child that was on its way when the order came gets it as soon as it is there`() {
        var machine = SupervisorMachine(children: 1, stopTimeout: .seconds(37))
        #expect(machine.handle(.stop) == [.wait(.seconds(37))])
        #expect(machine.handle(.started(0)) == [.stop(0)])
        #expect(machine.handle(.ended(0, .exited(0), ran: .zero)) == [.finish(0)])
    }

    @Test func `A child that waits for its next start is not waited for`() {
        var machine = working(1)
        _ = machine.handle(.ended(0, .exited(1), ran: .zero))
        #expect(machine.handle(.stop).last == .finish(0))
        #expect(machine.handle(.pauseEnded(0)) == [])
    }

    @Test func `A hard time limit while stopping is no end in order`() {
        var machine = working(1)
        _ = machine.handle(.stopNow)
        #expect(machine.handle(.ended(0, .exited(75), ran: .zero)) == [.finish(1)])
    }
}
