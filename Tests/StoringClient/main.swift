// A process with a durable broker, for tests to kill: arguments are the file, a seed, and how many messages there are so far. Or, to measure:
// `measure`, the file, how many messages are under way at a time, and seconds.
let arguments = CommandLine.arguments
if arguments[1] == "measure" {
    let measurement = Measurement(
        path: arguments[2],
        inFlight: Int(arguments[3]) ?? 100,
        seconds: Int(arguments[4]) ?? 5
    )
    try await measurement.run()
} else {
    try await Client(path: arguments[1], seed: UInt64(arguments[2]) ?? 0, firstNumber: Int(arguments[3]) ?? 0).run()
}
