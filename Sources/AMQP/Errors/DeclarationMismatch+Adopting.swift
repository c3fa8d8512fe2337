extension QueueDeclaration {
    /// This declaration with the value that the queue has, so that declaring it again finds the next difference.
    ///
    /// What it says is then all in ``QueueArguments/other``, which isn't validated: a queue that exists may be as nobody would declare
    /// one. `nil` if the difference can't be taken in: it is of another object, or the broker's text was cut or holds a value that can't be
    /// read back.
    public func adopting(_ mismatch: DeclarationMismatch) -> QueueDeclaration? {
        guard mismatch.object == .queue, !mismatch.isCut else { return nil }
        var adopted = self
        var table = arguments.arguments
        switch mismatch.argument {
        case "durable":
            guard let truth = mismatch.current.flatMap({ Bool($0.text) }) else { return nil }
            adopted.isDurable = truth
        case "auto_delete":
            guard let truth = mismatch.current.flatMap({ Bool($0.text) }) else { return nil }
            adopted.isAutoDelete = truth
        case let argument:
            if let current = mismatch.current {
                guard let value = current.fieldValue(like: table[argument]) else { return nil }
                table[argument] = value
            } else {
                // A queue from before types had to be named is a classic one.
                table[argument] = argument == QueueArgumentName.queueType.rawValue ? "classic" : nil
            }
        }
        adopted.arguments = QueueArguments()
        adopted.arguments.other = table
        return adopted.isAsDeclared(by: self) ? nil : adopted
    }

    private func isAsDeclared(by other: QueueDeclaration) -> Bool {
        isDurable == other.isDurable && isAutoDelete == other.isAutoDelete
            && arguments.arguments == other.arguments.arguments
    }
}

extension ExchangeDeclaration {
    /// This declaration with the value that the exchange has, so that declaring it again finds the next difference.
    ///
    /// `nil` if that can't be said: the difference is of another object, or the broker's text was cut or can't be read.
    public func adopting(_ mismatch: DeclarationMismatch) -> ExchangeDeclaration? {
        guard mismatch.object == .exchange, !mismatch.isCut else { return nil }
        var adopted = self
        let text = mismatch.current?.text
        switch mismatch.argument {
        case "type":
            guard let text else { return nil }
            adopted.kind = ExchangeKind(rawValue: text)
        case "durable":
            guard let truth = text.flatMap(Bool.init) else { return nil }
            adopted.isDurable = truth
        case "auto_delete":
            guard let truth = text.flatMap(Bool.init) else { return nil }
            adopted.isAutoDelete = truth
        case "internal":
            guard let truth = text.flatMap(Bool.init) else { return nil }
            adopted.isInternal = truth
        case "alternate-exchange":
            adopted.otherArguments["alternate-exchange"] = nil
            adopted.alternateExchange = text
        default:
            return nil
        }
        return adopted == self ? nil : adopted
    }
}
