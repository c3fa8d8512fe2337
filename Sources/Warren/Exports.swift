// `import Warren` is enough for a program that enqueues and runs jobs: it also brings `Broker.open` and those types of
// AMQP that such a program names or whose members it calls. The trait `RabbitMQ`, on by default, decides whether
// `Broker` is among them: without it, nothing needs librabbitmq. No other file of this module may import a broker.

@_documentation(visibility: internal) @_exported public import struct AMQP.AMQPError
@_documentation(visibility: internal) @_exported public import struct AMQP.Binding
@_documentation(visibility: internal) @_exported public import struct AMQP.BrokerVersion
@_documentation(visibility: internal) @_exported public import struct AMQP.Destination
@_documentation(visibility: internal) @_exported public import struct AMQP.ExchangeDeclaration
@_documentation(visibility: internal) @_exported public import struct AMQP.FieldTable
@_documentation(visibility: internal) @_exported public import enum AMQP.FieldValue
@_documentation(visibility: internal) @_exported public import struct AMQP.Message
@_documentation(visibility: internal) @_exported public import struct AMQP.QueueDeclaration
@_documentation(visibility: internal) @_exported public import struct AMQP.QueueKind
@_documentation(visibility: internal) @_exported public import protocol AMQP.Transport

#if RabbitMQ
@_documentation(visibility: internal) @_exported public import Brokers
#endif
