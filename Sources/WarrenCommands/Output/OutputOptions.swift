public import ArgumentParser

/// How a command prints what it found.
public struct OutputOptions: ParsableArguments {
    /// True if JSON is wanted.
    @Flag(name: .customLong("json"), help: "Print JSON, one object a line, instead of a table.")
    public var isJSON = false

    /// The option not given.
    public init() {}
}
