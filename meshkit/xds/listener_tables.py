"""Projection tables of envoy.config.listener.v3, as far as a gRPC server's own listener has it (gRFC A36, A41)."""

from __future__ import annotations

from meshkit.codec import ANY, Field

from .tables import table

__all__ = ["DOWNSTREAM_TLS", "HTTP_MANAGER", "LISTENER", "RBAC"]

_V3 = "envoy.config.listener.v3."
_FILTERS = "envoy.extensions.filters."

_CHAIN_MATCH = table(
    _V3 + "FilterChainMatch",
    (
        Field("destination_port", 8, "wrapper", value="uint32"),
        Field("transport_protocol", 9, "string"),
    ),
    "3 prefix_ranges 4 address_suffix 5 suffix_len 6 source_prefix_ranges 7 source_ports"
    " 10 application_protocols 11 server_names 12 source_type 13 direct_source_prefix_ranges",
)

_FILTER = table(
    _V3 + "Filter",
    (Field("name", 1, "string"), Field("typed_config", 4, "message", schema=ANY, oneof="config_type")),
    "5 config_discovery",
)

_TRANSPORT_SOCKET = table(
    "envoy.config.core.v3.TransportSocket",
    (Field("name", 1, "string"), Field("typed_config", 3, "message", schema=ANY, oneof="config_type")),
)

_FILTER_CHAIN = table(
    _V3 + "FilterChain",
    (
        Field("filter_chain_match", 1, "message", schema=_CHAIN_MATCH),
        Field("filters", 3, "message", schema=_FILTER, repeated=True),
        Field("transport_socket", 6, "message", schema=_TRANSPORT_SOCKET),
        Field("name", 7, "string"),
    ),
    "4 use_proxy_proto 5 metadata 9 transport_socket_connect_timeout",
)

LISTENER = table(
    _V3 + "Listener",
    (
        Field("name", 1, "string"),
        Field("filter_chains", 3, "message", schema=_FILTER_CHAIN, repeated=True),
        Field("default_filter_chain", 25, "message", schema=_FILTER_CHAIN),
    ),
    "2 address 4 use_original_dst 5 per_connection_buffer_limit_bytes 6 metadata 7 deprecated_v1"
    " 8 drain_type 9 listener_filters 10 transparent 11 freebind 12 tcp_fast_open_queue_length"
    " 13 socket_options 15 listener_filters_timeout 16 traffic_direction"
    " 17 continue_on_listener_filters_timeout 18 udp_listener_config 19 api_listener"
    " 20 connection_balance_config 21 reuse_port 22 access_log 24 tcp_backlog_size 26 bind_to_port"
    " 27 internal_listener 28 stat_prefix 29 enable_reuse_port 30 enable_mptcp"
    " 31 ignore_global_conn_limit 32 filter_chain_matcher 33 additional_addresses"
    " 34 max_connections_to_accept_per_socket_event 35 bypass_overload_manager 36 fcds_config",
)

_HTTP_FILTER = table(
    _FILTERS + "network.http_connection_manager.v3.HttpFilter",
    (
        Field("name", 1, "string"),
        Field("typed_config", 4, "message", schema=ANY, oneof="config_type"),
        Field("disabled", 7, "bool"),
    ),
    "5 config_discovery 6 is_optional",
)

HTTP_MANAGER = table(
    _FILTERS + "network.http_connection_manager.v3.HttpConnectionManager",
    (Field("http_filters", 5, "message", schema=_HTTP_FILTER, repeated=True),),
    "1 codec_type 2 stat_prefix 3 rds 4 route_config 6 add_user_agent 7 tracing 8 http_protocol_options"
    " 9 http2_protocol_options 10 server_name 12 drain_timeout 13 access_log 14 use_remote_address"
    " 15 generate_request_id 16 forward_client_cert_details 17 set_current_client_cert_details"
    " 18 proxy_100_continue 19 xff_num_trusted_hops 20 represent_ipv4_remote_address_as_ipv4_mapped_ipv6"
    " 21 skip_xff_append 22 via 23 upgrade_configs 24 stream_idle_timeout 25 internal_address_config"
    " 26 delayed_close_timeout 28 request_timeout 29 max_request_headers_kb 30 normalize_path"
    " 31 scoped_routes 32 preserve_external_request_id 33 merge_slashes 34 server_header_transformation"
    " 35 common_http_protocol_options 36 request_id_extension 37 always_set_request_id_in_response"
    " 38 local_reply_config 39 strip_matching_host_port 40 stream_error_on_invalid_http_message"
    " 41 request_headers_timeout 42 strip_any_host_port 43 path_normalization_options"
    " 44 http3_protocol_options 45 path_with_escaped_slashes_action 46 original_ip_detection_extensions"
    " 47 strip_trailing_host_dot 48 scheme_header_transformation 49 proxy_status_config"
    " 50 typed_header_validation_config 51 append_x_forwarded_port 52 early_header_mutation_extensions"
    " 53 add_proxy_protocol_connection_state 54 access_log_flush_interval"
    " 55 flush_access_log_on_new_request 56 access_log_options 57 append_local_overload"
    " 58 http1_safe_max_connection_duration 59 stream_flush_timeout 60 forward_client_cert_matcher",
)

_RULES = table(
    "envoy.config.rbac.v3.RBAC",
    (Field("action", 1, "enum"), Field("policies", 2, "map", value="raw")),
    "3 audit_logging_options",
)

RBAC = table(
    _FILTERS + "http.rbac.v3.RBAC",
    (Field("rules", 1, "message", schema=_RULES), Field("shadow_rules", 2, "message", schema=_RULES)),
    "3 shadow_rules_stat_prefix 4 matcher 5 shadow_matcher 6 rules_stat_prefix 7 track_per_rule_stats",
)

DOWNSTREAM_TLS = table(
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    (Field("require_client_certificate", 2, "wrapper", value="bool"),),
    "1 common_tls_context 3 require_sni 4 session_ticket_keys 5 session_ticket_keys_sds_secret_config"
    " 6 session_timeout 7 disable_stateless_session_resumption 8 ocsp_staple_policy"
    " 9 full_scan_certs_on_sni_mismatch 10 disable_stateful_session_resumption 11 prefer_client_ciphers",
)
