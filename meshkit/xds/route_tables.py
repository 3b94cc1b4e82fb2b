"""Projection tables of envoy.config.route.v3: the fields of a RouteConfiguration that `routes` reads."""

from __future__ import annotations

from meshkit.codec import Field

from .tables import FRACTION, REGEX, STRING_MATCHER, TYPED_CONFIG, table

__all__ = ["ROUTE_CONFIGURATION"]

_V3 = "envoy.config.route.v3."

_HEADER_MATCHER = table(
    _V3 + "HeaderMatcher",
    (
        Field("name", 1, "string"),
        Field("exact_match", 4, "string", oneof="header_match_specifier"),
        Field(
            "range_match",
            6,
            "message",
            schema=table("envoy.type.v3.Int64Range", (Field("start", 1, "int64"), Field("end", 2, "int64"))),
            oneof="header_match_specifier",
        ),
        Field("present_match", 7, "bool", oneof="header_match_specifier"),
        Field("invert_match", 8, "bool"),
        Field("prefix_match", 9, "string", oneof="header_match_specifier"),
        Field("suffix_match", 10, "string", oneof="header_match_specifier"),
        Field("safe_regex_match", 11, "message", schema=REGEX, oneof="header_match_specifier"),
        Field("contains_match", 12, "string", oneof="header_match_specifier"),
        Field("string_match", 13, "message", schema=STRING_MATCHER, oneof="header_match_specifier"),
        Field("treat_missing_header_as_empty", 14, "bool"),
    ),
)

_QUERY_PARAMETER = table(
    _V3 + "QueryParameterMatcher",
    (
        Field("name", 1, "string"),
        Field("string_match", 5, "ignore"),  # no gRPC path has a query: the name alone decides
        Field("present_match", 6, "ignore"),
    ),
)

_ROUTE_MATCH = table(
    _V3 + "RouteMatch",
    (
        Field("prefix", 1, "string", oneof="path_specifier"),
        Field("path", 2, "string", oneof="path_specifier"),
        Field("case_sensitive", 4, "wrapper", value="bool"),
        Field("headers", 6, "message", schema=_HEADER_MATCHER, repeated=True),
        Field("query_parameters", 7, "message", schema=_QUERY_PARAMETER, repeated=True),
        Field("grpc", 8, "ignore"),  # "only gRPC requests": all of ours are
        Field("runtime_fraction", 9, "message", schema=FRACTION),
        Field("safe_regex", 10, "message", schema=REGEX, oneof="path_specifier"),
        Field("connect_matcher", 12, "raw", oneof="path_specifier"),
        Field("dynamic_metadata", 13, "raw", repeated=True),
        Field("path_separated_prefix", 14, "string", oneof="path_specifier"),
        Field("path_match_policy", 15, "message", schema=TYPED_CONFIG, oneof="path_specifier"),
        Field("filter_state", 16, "raw", repeated=True),
    ),
    "11 tls_context",
)

_RETRY_POLICY = table(
    _V3 + "RetryPolicy",
    (
        Field("retry_on", 1, "string"),
        Field("num_retries", 2, "wrapper", value="uint32"),
        Field("per_try_timeout", 3, "duration"),
        Field(
            "retry_host_predicate",
            5,
            "message",
            schema=table(
                _V3 + "RetryPolicy.RetryHostPredicate", (Field("name", 1, "string"), Field("typed_config", 3, "ignore"))
            ),
            repeated=True,
        ),
        Field("host_selection_retry_max_attempts", 6, "ignore"),  # how hard Envoy looks for another host
        Field("retriable_status_codes", 7, "uint32", repeated=True),
        Field(
            "retry_back_off",
            8,
            "message",
            schema=table(
                _V3 + "RetryPolicy.RetryBackOff",
                (Field("base_interval", 1, "duration"), Field("max_interval", 2, "duration")),
            ),
        ),
    ),
    "4 retry_priority 9 retriable_headers 10 retriable_request_headers 11 rate_limited_retry_back_off"
    " 12 retry_options_predicates 13 per_try_idle_timeout",
)

_CLUSTER_WEIGHT = table(
    _V3 + "WeightedCluster.ClusterWeight",
    (
        Field("name", 1, "string"),
        Field("weight", 2, "wrapper", value="uint32"),
        Field("typed_per_filter_config", 10, "map", value="raw"),
        Field("cluster_header", 12, "string"),
    ),
    "3 metadata_match 4 request_headers_to_add 5 response_headers_to_add 6 response_headers_to_remove"
    " 9 request_headers_to_remove 11 host_rewrite_literal",
)

_WEIGHTED_CLUSTER = table(
    _V3 + "WeightedCluster",
    (
        Field("clusters", 1, "message", schema=_CLUSTER_WEIGHT, repeated=True),
        Field("runtime_key_prefix", 2, "ignore"),
        Field("total_weight", 3, "ignore"),  # deprecated: the sum of the weights counts
    ),
    "4 header_name 5 use_hash_policy",
)

_ROUTE_ACTION = table(
    _V3 + "RouteAction",
    (
        Field("cluster", 1, "string", oneof="cluster_specifier"),
        Field("cluster_header", 2, "string", oneof="cluster_specifier"),
        Field("weighted_clusters", 3, "message", schema=_WEIGHTED_CLUSTER, oneof="cluster_specifier"),
        Field("timeout", 8, "duration"),
        Field("retry_policy", 9, "message", schema=_RETRY_POLICY),
        Field("max_grpc_timeout", 23, "duration"),
        Field(
            "max_stream_duration",
            36,
            "message",
            schema=table(
                _V3 + "RouteAction.MaxStreamDuration",
                (Field("max_stream_duration", 1, "duration"), Field("grpc_timeout_header_max", 2, "duration")),
                "3 grpc_timeout_header_offset",
            ),
        ),
        Field("cluster_specifier_plugin", 37, "string", oneof="cluster_specifier"),
        Field("inline_cluster_specifier_plugin", 39, "raw", oneof="cluster_specifier"),
    ),
    "4 metadata_match 5 prefix_rewrite 6 host_rewrite_literal 7 auto_host_rewrite 11 priority 13 rate_limits"
    " 14 include_vh_rate_limits 15 hash_policy 17 cors 20 cluster_not_found_response_code 24 idle_timeout"
    " 25 upgrade_configs 26 internal_redirect_action 27 hedge_policy 28 grpc_timeout_offset 29 host_rewrite_header"
    " 30 request_mirror_policies 31 max_internal_redirects 32 regex_rewrite 33 retry_policy_typed_config"
    " 34 internal_redirect_policy 35 host_rewrite_path_regex 38 append_x_forwarded_host 40 early_data_policy"
    " 41 path_rewrite_policy 42 flush_timeout 44 host_rewrite 45 path_rewrite",
)

_DIRECT_RESPONSE = table(
    _V3 + "DirectResponseAction",
    (
        Field("status", 1, "uint32"),
        Field(
            "body",
            2,
            "message",
            schema=table(
                "envoy.config.core.v3.DataSource",
                (
                    Field("inline_bytes", 2, "bytes", oneof="specifier"),
                    Field("inline_string", 3, "string", oneof="specifier"),
                ),
                "1 filename 4 environment_variable 5 watched_directory",
            ),
        ),
    ),
    "3 body_format",
)

_ROUTE = table(
    _V3 + "Route",
    (
        Field("match", 1, "message", schema=_ROUTE_MATCH),
        Field("route", 2, "message", schema=_ROUTE_ACTION, oneof="action"),
        Field("redirect", 3, "raw", oneof="action"),
        Field("metadata", 4, "ignore"),
        Field("decorator", 5, "ignore"),
        Field("direct_response", 7, "message", schema=_DIRECT_RESPONSE, oneof="action"),
        Field("typed_per_filter_config", 13, "map", value="raw"),
        Field("name", 14, "string"),
        Field("tracing", 15, "ignore"),
        Field("filter_action", 17, "raw", oneof="action"),
        Field("non_forwarding_action", 18, "raw", oneof="action"),
        Field("stat_prefix", 19, "ignore"),
    ),
    "9 request_headers_to_add 10 response_headers_to_add 11 response_headers_to_remove 12 request_headers_to_remove"
    " 16 per_request_buffer_limit_bytes 20 request_body_buffer_limit",
)

_VIRTUAL_HOST = table(
    _V3 + "VirtualHost",
    (
        Field("name", 1, "string"),
        Field("domains", 2, "string", repeated=True),
        Field("routes", 3, "message", schema=_ROUTE, repeated=True),
        Field("include_request_attempt_count", 14, "ignore"),  # our retries always carry grpc-previous-rpc-attempts
        Field("typed_per_filter_config", 15, "map", value="raw"),
        Field("retry_policy", 16, "message", schema=_RETRY_POLICY),
        Field("metadata", 24, "ignore"),
    ),
    "4 require_tls 5 virtual_clusters 6 rate_limits 7 request_headers_to_add 8 cors 10 response_headers_to_add"
    " 11 response_headers_to_remove 13 request_headers_to_remove 17 hedge_policy 18 per_request_buffer_limit_bytes"
    " 19 include_attempt_count_in_response 20 retry_policy_typed_config 21 matcher 22 request_mirror_policies"
    " 23 include_is_timeout_retry_header 25 request_body_buffer_limit",
)

ROUTE_CONFIGURATION = table(
    _V3 + "RouteConfiguration",
    (
        Field("name", 1, "string"),
        Field("virtual_hosts", 2, "message", schema=_VIRTUAL_HOST, repeated=True),
        Field("validate_clusters", 7, "ignore"),
        Field("max_direct_response_body_size_bytes", 11, "ignore"),
        Field("ignore_port_in_host_matching", 14, "bool"),
        Field("typed_per_filter_config", 16, "map", value="raw"),
        Field("metadata", 17, "ignore"),
    ),
    "3 internal_only_headers 4 response_headers_to_add 5 response_headers_to_remove 6 request_headers_to_add"
    " 8 request_headers_to_remove 9 vhds 10 most_specific_header_mutations_wins 12 cluster_specifier_plugins"
    " 13 request_mirror_policies 15 ignore_path_parameters_in_path_matching 18 vhost_header",
)
