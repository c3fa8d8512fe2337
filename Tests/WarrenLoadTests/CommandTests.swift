import ArgumentParser
import Testing

@testable import WarrenLoad

struct CommandTests {
    @Test func `The command line takes the options of the figures`() throws {
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

    @Test(arguments: [["--count", "10"], ["--repetitions", "0"], ["--only", "nothing"], ["--count", "many"]]
    )
    func `Options that can't be measured are refused`(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try WarrenLoad.parseAsRoot(["client"] + arguments) }
    }

    @Test func `A comparison is selected by each of its works, or if none is named`() {
        let comparison = Comparison(.c(.publish), .warren(.enqueue))
        #expect(comparison.isSelected(by: []))
        #expect(comparison.isSelected(by: [.enqueue]))
        #expect(comparison.isSelected(by: [.start, .publish]))
        #expect(!comparison.isSelected(by: [.execute]))
    }

    @Test(.timeLimit(.minutes(1)))
    func `A countdown ends its wait at zero`() async {
        let countdown = Countdown(from: 100)
        await withDiscardingTaskGroup { group in
            for _ in 0..<100 { group.addTask { countdown.countOne() } }
            await countdown.reached()
        }
    }
}
