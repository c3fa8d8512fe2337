import AMQP
import Warren

/// Messages that no producer in its right mind sends, made from one that is in order.
struct HostileMessages: Sendable {
    /// A message as ``JobClient`` sends it.
    let sample: Message

    /// How the message of a number is made, from a fixed seed: the same in each run.
    func message(_ number: Int) -> Message {
        var random = SeededNumbers(seed: UInt64(number))
        var message = sample
        var headers = message.properties.headers ?? FieldTable()
        switch number % 10 {
        case 0:
            message.body = (0..<Int.random(in: 0...300, using: &random)).map { _ in .random(in: 0...255, using: &random)
            }
        case 1: message.body = Array(message.body.prefix(.random(in: 0..<message.body.count, using: &random)))
        case 2, 3: flip(&message.body, &random)
        case 4: if let name = headers.randomElement(using: &random)?.name { headers[name] = nil }
        case 5, 6: if let name = headers.randomElement(using: &random)?.name { headers[name] = value(&random) }
        case 7: headers["odd"] = nested(.random(in: 1...60, using: &random))
        case 8: for extra in 0..<200 { headers["extra-\(extra)"] = value(&random) }
        default:
            message.properties.contentEncoding = ["utf-16", "binary", "zstd", "\u{1}"].randomElement(using: &random)
        }
        message.properties.headers = headers
        return named(message, number)
    }

    /// JSON of so many arrays in each other.
    func deep(_ number: Int, levels: Int) -> Message {
        var message = sample
        message.body =
            Array(repeating: UInt8(ascii: "["), count: levels)
            + Array(repeating: UInt8(ascii: "]"), count: levels)
        return named(message, number)
    }

    /// The largest body there is: a string, or what is no JSON at all.
    func large(_ number: Int) -> Message {
        var message = sample
        let start = Array(#"[[],{"milliseconds":"#.utf8)
        let filling = Array(
            repeating: UInt8(ascii: number % 2 == 0 ? "9" : "\""),
            count: Message.maximumBodySize - start.count
        )
        message.body = start + filling
        return named(message, number)
    }

    private func named(_ message: Message, _ number: Int) -> Message {
        var message = message
        let id = "hostile-\(number)"
        message.properties.messageID = id
        message.properties.headers?[FaultWorkerCommand.idHeader] = .string(id)
        return message
    }

    private func flip(_ body: inout [UInt8], _ random: inout SeededNumbers) {
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            let place = Int.random(in: 0..<body.count, using: &random)
            body[place] = .random(in: 0...255, using: &random)
        }
    }

    private func value(_ random: inout SeededNumbers) -> FieldValue {
        switch Int.random(in: 0...9, using: &random) {
        case 0: .void
        case 1: .bool(.random(using: &random))
        case 2: .int64(.random(in: .min ... .max, using: &random))
        case 3: .double(-.greatestFiniteMagnitude)
        case 4: .timestamp(.random(in: 0 ... .max, using: &random))
        case 5: .bytes((0..<40).map { _ in .random(in: 0...255, using: &random) })
        case 6: .array(Array(repeating: .string("x"), count: 50))
        case 7: .table(["task": .void, "id": .array([])])
        case 8: .string(String(repeating: "ä", count: .random(in: 0...500, using: &random)))
        default: .decimal(FieldDecimal(scale: 255, value: .max))
        }
    }

    private func nested(_ levels: Int) -> FieldValue {
        (0..<levels).reduce(FieldValue.void) { inner, level in level % 2 == 0 ? .table(["in": inner]) : .array([inner])
        }
    }
}

/// Numbers that look random and are the same for one seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
