import ArgumentParser
import Testing

@testable import WarrenLoad

@Suite("The command line of warren-load")
struct CommandTests {
    @Test("takes the options of the figures")
    func options() throws {
        let command = try #require(
            try WarrenLoad.parseAsRoot([
                "client", "--url", "amqp://h", "--count", "500", "--repetitions", "5", "--json", "--only", "publish",
            ]) as? ClientCommand
        )
        #expect(command.options.url == "amqp://h")
        #expect(command.options.count == 500)
        #expect(command.options.repetitions == 5)
        #expect(command.options.json)
        #expect(command.options.only == [.publish])
        #expect(try WarrenLoad.parseAsRoot(["jobs"]) is JobsCommand)
    }

    @Test(
        "refuses what can't be measured",
        arguments: [["--count", "10"], ["--repetitions", "0"], ["--only", "nothing"], ["--count", "many"]]
    )
    func refused(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try WarrenLoad.parseAsRoot(["client"] + arguments) }
    }

    @Test("makes what was asked for and its counterpart, or all")
    func only() {
        let contest = Contest(.c(.publish), .warren(.enqueue))
        #expect(contest.isChosen(by: []))
        #expect(contest.isChosen(by: [.enqueue]))
        #expect(contest.isChosen(by: [.start, .publish]))
        #expect(!contest.isChosen(by: [.execute]))
    }

    @Test("counts down to zero, and then tells", .timeLimit(.minutes(1)))
    func countdown() async {
        let countdown = Countdown(from: 100)
        await withDiscardingTaskGroup { group in
            for _ in 0..<100 { group.addTask { countdown.countOne() } }
            await countdown.reached()
        }
    }
}
