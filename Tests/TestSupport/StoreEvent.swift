import Foundation

/// A line of output of the process fixture's `storing-client`: what its durable broker did.
package enum StoreEvent: Codable, Hashable, Sendable {
    case started
    case opened
    /// The queues are declared.
    case ready
    case confirmed(StoredMessage)
    case acknowledging(StoredMessage, queue: String)
    case declared(queue: String)
    case bound(queue: String)
    case deleting(queue: String)
    case deleted(queue: String)

    /// The event as one line of JSON, without a newline.
    package var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard let json = try? encoder.encode(self) else { preconditionFailure("Every event is valid JSON.") }
        return String(decoding: json, as: UTF8.self)
    }

    package init(line: String) throws {
        self = try JSONDecoder().decode(StoreEvent.self, from: Data(line.utf8))
    }
}

/// A message of the `storing-client`, by its kind and number.
package struct StoredMessage: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// In the queue `plain`.
        case plain
        /// In the queue `plain`, and lost when the process ends.
        case transient
        /// In the queue `quorum`, and in `dead` after three deliveries.
        case quorum
        /// First in the queue `waiting`, and in `plain` once it expires there.
        case expiring
        /// In both `copy-a` and `copy-b`.
        case copied
    }

    package var kind: Kind
    package var number: Int

    package init(_ kind: Kind, _ number: Int) {
        self.kind = kind
        self.number = number
    }

    /// The message id, such as `quorum-17`.
    package var id: String { "\(kind.rawValue)-\(number)" }

    /// - Returns: `nil` for an id that is not of this form.
    package init?(id: String) {
        let parts = id.split(separator: "-")
        guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])), let number = Int(parts[1]) else {
            return nil
        }
        self.init(kind, number)
    }
}
