import AMQP
import TestSupport

extension SeededGenerator {
    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number {
        // Numbers at the edges are as likely as all others together.
        switch next() % 4 {
        case 0: .min
        case 1: .max
        default: Number(truncatingIfNeeded: next())
        }
    }

    mutating func text(upTo length: Int) -> String {
        let alphabet = Array("abcXYZ019-_.: '\"\\\n\u{0}éß€語𝄞👩‍👩‍👧e\u{301}\u{212A}")
        return String(
            (0..<Int.random(in: 0...length, using: &self)).map { _ in alphabet.randomElement(using: &self) ?? "?" }
        )
    }

    mutating func octets(upTo length: Int) -> [UInt8] {
        (0..<Int.random(in: 0...length, using: &self)).map { _ in number() }
    }

    mutating func fieldValue(depth: Int) -> FieldValue {
        switch Int.random(in: 0..<(depth > 0 ? 17 : 15), using: &self) {
        case 0: .bool(Bool.random(using: &self))
        case 1: .int8(number())
        case 2: .uint8(number())
        case 3: .int16(number())
        case 4: .uint16(number())
        case 5: .int32(number())
        case 6: .uint32(number())
        case 7: .int64(number())
        case 8: .float(Float(bitPattern: number()))
        case 9: .double(Double(bitPattern: number()))
        case 10: .decimal(FieldDecimal(scale: number(), value: number()))
        case 11: .string(text(upTo: 40))
        case 12: .bytes(octets(upTo: 40))
        case 13: .timestamp(number())
        case 14: .void
        case 15: .array((0..<Int.random(in: 0...5, using: &self)).map { _ in fieldValue(depth: depth - 1) })
        default: .table(fieldTable(depth: depth - 1))
        }
    }

    mutating func fieldTable(depth: Int = 4, upTo count: Int = 8) -> FieldTable {
        var table = FieldTable()
        for _ in 0..<Int.random(in: 0...count, using: &self) { table[text(upTo: 12)] = fieldValue(depth: depth) }
        return table
    }

    mutating func properties() -> BasicProperties {
        var properties = BasicProperties()
        if Bool.random(using: &self) { properties.contentType = text(upTo: 20) }
        if Bool.random(using: &self) { properties.contentEncoding = text(upTo: 20) }
        if Bool.random(using: &self) { properties.headers = fieldTable() }
        if Bool.random(using: &self) { properties.deliveryMode = DeliveryMode(rawValue: number()) }
        if Bool.random(using: &self) { properties.priority = number() }
        if Bool.random(using: &self) { properties.correlationID = text(upTo: 20) }
        if Bool.random(using: &self) { properties.replyTo = text(upTo: 20) }
        if Bool.random(using: &self) { properties.expiration = text(upTo: 20) }
        if Bool.random(using: &self) { properties.messageID = text(upTo: 20) }
        if Bool.random(using: &self) { properties.timestamp = number() }
        if Bool.random(using: &self) { properties.type = text(upTo: 20) }
        if Bool.random(using: &self) { properties.userID = text(upTo: 20) }
        if Bool.random(using: &self) { properties.appID = text(upTo: 20) }
        return properties
    }
}
