import ArgumentParser
import Warren

extension LanePolicy {
    /// Reads `strict`, or `weighted` with weights for some lanes: `weighted:high=6,normal=3,low=1`.
    ///
    /// - Throws: `ValidationError`, saying what can't be read.
    init(argument: String) throws {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        switch (parts[0], parts.count) {
        case ("strict", 1): self = .strict
        case ("weighted", 1): self = .weighted([:])
        case ("weighted", 2): self = .weighted(try Self.weights(parts[1]))
        default: throw ValidationError("'\(argument)' is neither 'strict' nor 'weighted:high=6,normal=3,low=1'.")
        }
    }

    private static func weights(_ text: Substring) throws -> [Lane: Int] {
        var weights: [Lane: Int] = [:]
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let weight = Int(parts[1]), weight > 0 else {
                throw ValidationError("'\(word)' is no weight of a lane, such as high=6.")
            }
            weights[try Lane(argument: String(parts[0]))] = weight
        }
        return weights
    }
}

extension Lane {
    /// Reads a lane's name.
    ///
    /// - Throws: `ValidationError`, with the names there are.
    init(argument: String) throws {
        guard let lane = Lane(named: argument) else {
            throw ValidationError(
                "There is no lane '\(argument)', only \(Lane.all.map(\.name).joined(separator: ", "))."
            )
        }
        self = lane
    }
}
