public import ArgumentParser

/// No options: what an application has that adds none of its own.
public struct NoOptions: ParsableArguments, Sendable {
    /// No options.
    public init() {}
}
