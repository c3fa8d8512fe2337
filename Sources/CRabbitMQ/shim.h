// librabbitmq for Swift: its headers, whatever their layout, and what Swift can't import of them.
//
// Swift imports neither variadic functions nor macros that cast. Everything here is `static inline` or an enum, so that
// there is no .c file to compile, and uses nothing newer than librabbitmq 0.11.
#pragma once

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif
#include "certificate_check.h"
#include "tls_stream.h"

static inline amqp_rpc_reply_t warren_login_plain(
    amqp_connection_state_t state, const char *virtual_host, int channel_max, int frame_max, int heartbeat,
    const amqp_table_t *client_properties, const char *user, const char *password) {
    return amqp_login_with_properties(
        state, virtual_host, channel_max, frame_max, heartbeat, client_properties, AMQP_SASL_METHOD_PLAIN, user, password);
}

// The broker takes the user's name from the client certificate.
static inline amqp_rpc_reply_t warren_login_external(
    amqp_connection_state_t state, const char *virtual_host, int channel_max, int frame_max, int heartbeat,
    const amqp_table_t *client_properties) {
    return amqp_login_with_properties(
        state, virtual_host, channel_max, frame_max, heartbeat, client_properties, AMQP_SASL_METHOD_EXTERNAL, "");
}

static const amqp_method_number_t warren_connection_close = AMQP_CONNECTION_CLOSE_METHOD;
static const amqp_method_number_t warren_connection_close_ok = AMQP_CONNECTION_CLOSE_OK_METHOD;
// RabbitMQ's extension, which librabbitmq 0.11 doesn't know.
static const amqp_method_number_t warren_connection_update_secret = (amqp_method_number_t)0x000A0046;
static const amqp_method_number_t warren_connection_update_secret_ok = (amqp_method_number_t)0x000A0047;
static const amqp_method_number_t warren_connection_blocked = AMQP_CONNECTION_BLOCKED_METHOD;
static const amqp_method_number_t warren_connection_unblocked = AMQP_CONNECTION_UNBLOCKED_METHOD;
static const amqp_method_number_t warren_channel_open = AMQP_CHANNEL_OPEN_METHOD;
static const amqp_method_number_t warren_channel_open_ok = AMQP_CHANNEL_OPEN_OK_METHOD;
static const amqp_method_number_t warren_channel_flow = AMQP_CHANNEL_FLOW_METHOD;
static const amqp_method_number_t warren_channel_flow_ok = AMQP_CHANNEL_FLOW_OK_METHOD;
static const amqp_method_number_t warren_channel_close = AMQP_CHANNEL_CLOSE_METHOD;
static const amqp_method_number_t warren_channel_close_ok = AMQP_CHANNEL_CLOSE_OK_METHOD;
static const amqp_method_number_t warren_exchange_declare = AMQP_EXCHANGE_DECLARE_METHOD;
static const amqp_method_number_t warren_exchange_declare_ok = AMQP_EXCHANGE_DECLARE_OK_METHOD;
static const amqp_method_number_t warren_exchange_delete = AMQP_EXCHANGE_DELETE_METHOD;
static const amqp_method_number_t warren_exchange_delete_ok = AMQP_EXCHANGE_DELETE_OK_METHOD;
static const amqp_method_number_t warren_exchange_bind = AMQP_EXCHANGE_BIND_METHOD;
static const amqp_method_number_t warren_exchange_bind_ok = AMQP_EXCHANGE_BIND_OK_METHOD;
static const amqp_method_number_t warren_exchange_unbind = AMQP_EXCHANGE_UNBIND_METHOD;
static const amqp_method_number_t warren_exchange_unbind_ok = AMQP_EXCHANGE_UNBIND_OK_METHOD;
static const amqp_method_number_t warren_queue_declare = AMQP_QUEUE_DECLARE_METHOD;
static const amqp_method_number_t warren_queue_declare_ok = AMQP_QUEUE_DECLARE_OK_METHOD;
static const amqp_method_number_t warren_queue_bind = AMQP_QUEUE_BIND_METHOD;
static const amqp_method_number_t warren_queue_bind_ok = AMQP_QUEUE_BIND_OK_METHOD;
static const amqp_method_number_t warren_queue_unbind = AMQP_QUEUE_UNBIND_METHOD;
static const amqp_method_number_t warren_queue_unbind_ok = AMQP_QUEUE_UNBIND_OK_METHOD;
static const amqp_method_number_t warren_queue_delete = AMQP_QUEUE_DELETE_METHOD;
static const amqp_method_number_t warren_queue_delete_ok = AMQP_QUEUE_DELETE_OK_METHOD;
static const amqp_method_number_t warren_queue_purge = AMQP_QUEUE_PURGE_METHOD;
static const amqp_method_number_t warren_queue_purge_ok = AMQP_QUEUE_PURGE_OK_METHOD;
static const amqp_method_number_t warren_basic_qos = AMQP_BASIC_QOS_METHOD;
static const amqp_method_number_t warren_basic_qos_ok = AMQP_BASIC_QOS_OK_METHOD;
static const amqp_method_number_t warren_basic_consume = AMQP_BASIC_CONSUME_METHOD;
static const amqp_method_number_t warren_basic_consume_ok = AMQP_BASIC_CONSUME_OK_METHOD;
static const amqp_method_number_t warren_basic_cancel = AMQP_BASIC_CANCEL_METHOD;
static const amqp_method_number_t warren_basic_cancel_ok = AMQP_BASIC_CANCEL_OK_METHOD;
static const amqp_method_number_t warren_basic_return = AMQP_BASIC_RETURN_METHOD;
static const amqp_method_number_t warren_basic_publish = AMQP_BASIC_PUBLISH_METHOD;
static const amqp_method_number_t warren_basic_deliver = AMQP_BASIC_DELIVER_METHOD;
static const amqp_method_number_t warren_basic_get = AMQP_BASIC_GET_METHOD;
static const amqp_method_number_t warren_basic_get_ok = AMQP_BASIC_GET_OK_METHOD;
static const amqp_method_number_t warren_basic_get_empty = AMQP_BASIC_GET_EMPTY_METHOD;
static const amqp_method_number_t warren_basic_ack = AMQP_BASIC_ACK_METHOD;
static const amqp_method_number_t warren_basic_reject = AMQP_BASIC_REJECT_METHOD;
static const amqp_method_number_t warren_basic_nack = AMQP_BASIC_NACK_METHOD;
static const amqp_method_number_t warren_confirm_select = AMQP_CONFIRM_SELECT_METHOD;
static const amqp_method_number_t warren_confirm_select_ok = AMQP_CONFIRM_SELECT_OK_METHOD;
