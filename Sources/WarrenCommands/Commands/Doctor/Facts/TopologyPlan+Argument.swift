import AMQP
import Warren

extension TopologyPlan {
    /// The value of an argument that a queue is planned with.
    func argument(_ name: String, of queue: String) -> FieldValue? {
        for case .queue(let declaration) in steps where declaration.name == queue {
            return declaration.arguments.arguments[name]
        }
        return nil
    }
}
