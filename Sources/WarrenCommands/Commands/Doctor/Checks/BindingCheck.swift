import AMQP
import Warren

/// Whether exchanges lead where they should.
///
/// Only the management API tells.
enum BindingCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        guard let existing = facts.management?.bindings else { return [] }
        let found = Set(existing.map(Key.init))
        let missing = facts.plan.steps.compactMap { step -> Binding? in
            guard case .binding(let binding) = step else { return nil }
            let key = Key(binding)
            // An end that doesn't exist is another check's finding.
            guard !facts.isMissing(key.source), !facts.isMissing(key.destination) else { return nil }
            return found.contains(key) ? nil : binding
        }
        return missing.map(finding)
    }

    private static func finding(_ binding: Binding) -> Finding {
        let key = Key(binding)
        let consequence: String =
            if key.source == DelayLadder.deliveryExchange {
                "Delayed jobs and retries for it go to '\(DelayLadder.unroutedName)' and don't run."
            } else if DoctorFacts.ladderNames.contains(key.source) {
                "Delays that pass here end here."
            } else if key.source.hasSuffix(".dead") {
                "Jobs that can't succeed don't arrive there."
            } else {
                "Jobs for it are refused as unroutable."
            }
        return Finding(
            .error,
            .bindings,
            key.destination,
            problem: "The \(key.type) '\(key.destination)' is not bound to the exchange '\(key.source)' with the key "
                + "'\(key.routingKey)'.",
            consequence: consequence,
            remedy: "Run 'topology apply', or start a worker."
        )
    }

    private struct Key: Hashable {
        var source: String
        var destination: String
        var type: String
        var routingKey: String

        init(_ binding: ManagedBinding) {
            source = binding.source
            destination = binding.destination
            type = binding.destinationType
            routingKey = binding.routingKey
        }

        init(_ binding: Binding) {
            source = binding.source
            routingKey = binding.routingKey
            switch binding.target {
            case .queue(let name): (destination, type) = (name, "queue")
            case .exchange(let name): (destination, type) = (name, "exchange")
            }
        }
    }
}
