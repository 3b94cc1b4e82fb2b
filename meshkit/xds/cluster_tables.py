"""Projection tables of envoy.config.cluster.v3 and of the load balancing policies: what `clusters` reads."""

from __future__ import annotations

from meshkit.codec import ANY, Field, Schema

from .endpoint_tables import CLUSTER_LOAD_ASSIGNMENT
from .tables import PERCENT, TYPED_CONFIG, table

__all__ = ["AGGREGATE", "CLUSTER", "DNS_RESOLVER", "HTTP_PROTOCOL_OPTIONS", "LB_POLICIES"]

_V3 = "envoy.config.cluster.v3."
_LB = "envoy.extensions.load_balancing_policies."
_CARES = (  # fields 2 to 12 of CaresDnsResolverConfig, which are about Envoy's own resolver
    *("dns_resolver_options", "use_resolvers_as_fallback", "filter_unroutable_families", "udp_max_queries"),
    *("query_timeout_seconds", "query_tries", "rotate_nameservers", "edns0_max_payload_size"),
    *("max_udp_channel_duration", "reinit_channel_on_timeout", "qcache_max_ttl"),
)

_EDS_CONFIG = table(
    _V3 + "Cluster.EdsClusterConfig",
    (
        Field(
            "eds_config",
            1,
            "message",
            schema=table(
                "envoy.config.core.v3.ConfigSource",
                (
                    Field("path", 1, "string", oneof="config_source_specifier"),
                    Field("api_config_source", 2, "raw", oneof="config_source_specifier"),
                    Field("ads", 3, "raw", oneof="config_source_specifier"),
                    Field("initial_fetch_timeout", 4, "ignore"),
                    Field("self", 5, "raw", oneof="config_source_specifier"),
                    Field("resource_api_version", 6, "ignore"),
                    Field("path_config_source", 8, "raw", oneof="config_source_specifier"),
                ),
                "7 authorities",
            ),
        ),
        Field("service_name", 2, "string"),
    ),
)

_THRESHOLDS = table(
    _V3 + "CircuitBreakers.Thresholds",
    (
        Field("priority", 1, "enum"),
        Field("max_connections", 2, "wrapper", value="uint32"),
        Field("max_pending_requests", 3, "wrapper", value="uint32"),
        Field("max_requests", 4, "wrapper", value="uint32"),
        Field("max_retries", 5, "wrapper", value="uint32"),
        Field("track_remaining", 6, "ignore"),
    ),
    "7 max_connection_pools 8 retry_budget",
)

_OUTLIER_DETECTION = table(
    _V3 + "OutlierDetection",
    (
        Field("consecutive_5xx", 1, "wrapper", value="uint32"),
        Field("interval", 2, "duration"),
        Field("base_ejection_time", 3, "duration"),
        Field("max_ejection_percent", 4, "wrapper", value="uint32"),
        Field("enforcing_consecutive_5xx", 5, "wrapper", value="uint32"),
        Field("enforcing_success_rate", 6, "wrapper", value="uint32"),
        Field("consecutive_gateway_failure", 10, "wrapper", value="uint32"),
        Field("enforcing_consecutive_gateway_failure", 11, "wrapper", value="uint32"),
        Field("max_ejection_time", 21, "duration"),
    ),
    "7 success_rate_minimum_hosts 8 success_rate_request_volume 9 success_rate_stdev_factor"
    " 12 split_external_local_origin_errors 13 consecutive_local_origin_failure"
    " 14 enforcing_consecutive_local_origin_failure 15 enforcing_local_origin_success_rate"
    " 16 failure_percentage_threshold 17 enforcing_failure_percentage 18 enforcing_failure_percentage_local_origin"
    " 19 failure_percentage_minimum_hosts 20 failure_percentage_request_volume 22 max_ejection_time_jitter"
    " 23 successful_active_health_check_uneject_host 24 monitors 25 always_eject_one_host",
)

_COMMON_LB = table(
    _V3 + "Cluster.CommonLbConfig",
    (
        Field("healthy_panic_threshold", 1, "message", schema=PERCENT),
        Field("zone_aware_lb_config", 2, "raw", oneof="locality_config_specifier"),
        Field("locality_weighted_lb_config", 3, "raw", oneof="locality_config_specifier"),
    ),
    "4 update_merge_window 5 ignore_new_hosts_until_first_hc 6 close_connections_on_host_set_change"
    " 7 consistent_hashing_lb_config 8 override_host_status",
)

_RUNTIME_DOUBLE = table(
    "envoy.config.core.v3.RuntimeDouble", (Field("default_value", 1, "double"), Field("runtime_key", 2, "ignore"))
)

_POLICY = table(
    _V3 + "LoadBalancingPolicy.Policy", (Field("typed_extension_config", 4, "message", schema=TYPED_CONFIG),)
)
_POLICIES = table(_V3 + "LoadBalancingPolicy", (Field("policies", 1, "message", schema=_POLICY, repeated=True),))

_METADATA = table(
    "envoy.config.core.v3.Metadata",
    (Field("filter_metadata", 1, "map", value="raw"), Field("typed_filter_metadata", 2, "ignore")),
)

_TRANSPORT_SOCKET = table(
    "envoy.config.core.v3.TransportSocket", (Field("name", 1, "string"), Field("typed_config", 3, "ignore"))
)

CLUSTER = table(
    _V3 + "Cluster",
    (
        Field("name", 1, "string"),
        Field("type", 2, "enum", oneof="cluster_discovery_type"),
        Field("eds_cluster_config", 3, "message", schema=_EDS_CONFIG),
        Field("connect_timeout", 4, "duration"),
        Field("lb_policy", 6, "enum"),
        Field(
            "circuit_breakers",
            10,
            "message",
            schema=table(
                _V3 + "CircuitBreakers",
                (Field("thresholds", 1, "message", schema=_THRESHOLDS, repeated=True),),
                "2 per_host_thresholds",
            ),
        ),
        Field("dns_refresh_rate", 16, "duration"),
        Field("dns_lookup_family", 17, "enum"),
        Field("outlier_detection", 19, "message", schema=_OUTLIER_DETECTION),
        Field("typed_extension_protocol_options", 36, "map", value="message", schema=ANY),
        Field(
            "ring_hash_lb_config",
            23,
            "message",
            schema=table(
                _V3 + "Cluster.RingHashLbConfig",
                (
                    Field("minimum_ring_size", 1, "wrapper", value="uint64"),
                    Field("hash_function", 3, "enum"),
                    Field("maximum_ring_size", 4, "wrapper", value="uint64"),
                ),
            ),
            oneof="lb_config",
        ),
        Field("metadata", 25, "message", schema=_METADATA),
        Field("common_lb_config", 27, "message", schema=_COMMON_LB),
        Field("alt_stat_name", 28, "ignore"),
        Field("load_assignment", 33, "message", schema=CLUSTER_LOAD_ASSIGNMENT),
        Field(
            "least_request_lb_config",
            37,
            "message",
            schema=table(
                _V3 + "Cluster.LeastRequestLbConfig",
                (
                    Field("choice_count", 1, "wrapper", value="uint32"),
                    Field("active_request_bias", 2, "message", schema=_RUNTIME_DOUBLE),
                ),
                "3 slow_start_config",
            ),
            oneof="lb_config",
        ),
        Field(
            "cluster_type",
            38,
            "message",
            schema=table(
                _V3 + "Cluster.CustomClusterType",
                (Field("name", 1, "string"), Field("typed_config", 2, "message", schema=ANY)),
            ),
            oneof="cluster_discovery_type",
        ),
        Field("filters", 40, "ignore"),  # Istio's metadata exchange, for telemetry of TCP
        Field(
            "transport_socket_matches",
            43,
            "message",
            schema=table(
                _V3 + "Cluster.TransportSocketMatch",
                (
                    Field("name", 1, "string"),
                    Field("match", 2, "ignore"),
                    Field("transport_socket", 3, "message", schema=_TRANSPORT_SOCKET),
                ),
            ),
            repeated=True,
        ),
        Field("respect_dns_ttl", 39, "bool"),
        Field("load_balancing_policy", 41, "message", schema=_POLICIES),
        Field(
            "dns_failure_refresh_rate",
            44,
            "message",
            schema=table(
                _V3 + "Cluster.RefreshRate",
                (Field("base_interval", 1, "duration"), Field("max_interval", 2, "duration")),
            ),
        ),
        Field("track_timeout_budgets", 47, "ignore"),
        Field("track_cluster_stats", 49, "ignore"),
        Field(
            "maglev_lb_config",
            52,
            "message",
            schema=table(_V3 + "Cluster.MaglevLbConfig", (Field("table_size", 1, "wrapper", value="uint64"),)),
            oneof="lb_config",
        ),
        Field("wait_for_warm_on_init", 54, "ignore"),
        Field("typed_dns_resolver_config", 55, "message", schema=TYPED_CONFIG),
        Field(
            "round_robin_lb_config",
            56,
            "message",
            schema=table(_V3 + "Cluster.RoundRobinLbConfig", (), "1 slow_start_config"),
            oneof="lb_config",
        ),
        Field("dns_jitter", 58, "duration"),
    ),
    "5 per_connection_buffer_limit_bytes 8 health_checks 9 max_requests_per_connection 13 http_protocol_options"
    " 14 http2_protocol_options 18 dns_resolvers 20 cleanup_interval"
    " 21 upstream_bind_config 22 lb_subset_config 24 transport_socket 26 protocol_selection"
    " 29 common_http_protocol_options 30 upstream_connection_options 31 close_connections_on_host_health_failure"
    " 32 ignore_health_on_host_removal 34 original_dst_lb_config"
    " 39 respect_dns_ttl 42 lrs_server 44 dns_failure_refresh_rate"
    " 45 use_tcp_for_dns_lookups 46 upstream_http_protocol_options 48 upstream_config 50 preconnect_policy"
    " 51 connection_pool_per_downstream_connection 53 dns_resolution_config"
    " 57 lrs_report_endpoint_metrics 59 transport_socket_matcher",
)

HTTP_PROTOCOL_OPTIONS = table(
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    (
        Field("explicit_http_config", 3, "ignore"),  # we speak HTTP/2, whatever it names
        Field("use_downstream_protocol_config", 4, "ignore"),
        Field("auto_config", 5, "ignore"),
    ),
    "1 common_http_protocol_options 2 upstream_http_protocol_options 6 http_filters 7 header_validation_config"
    " 8 outlier_detection 9 request_mirror_policies 10 hash_policy 11 retry_policy",
)

DNS_RESOLVER = table(  # Istio sends one with every DNS cluster, for how many lookups share a socket
    "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
    tuple(Field(name, number, "ignore") for number, name in enumerate(_CARES, 2)),
    "1 resolvers",
)

AGGREGATE = table(
    "envoy.extensions.clusters.aggregate.v3.ClusterConfig", (Field("clusters", 1, "string", repeated=True),)
)

_LOCALITY_LB = table(
    _LB + "common.v3.LocalityLbConfig", (Field("locality_weighted_lb_config", 2, "raw"),), "1 zone_aware_lb_config"
)

LB_POLICIES: dict[str, Schema] = {
    schema.name: schema
    for schema in (
        table(
            _LB + "round_robin.v3.RoundRobin",
            (Field("locality_lb_config", 2, "message", schema=_LOCALITY_LB),),
            "1 slow_start_config",
        ),
        table(
            _LB + "least_request.v3.LeastRequest",
            (
                Field("choice_count", 1, "wrapper", value="uint32"),
                Field("active_request_bias", 2, "message", schema=_RUNTIME_DOUBLE),
                Field("locality_lb_config", 4, "message", schema=_LOCALITY_LB),
            ),
            "3 slow_start_config 5 enable_full_scan 6 selection_method",
        ),
        table(_LB + "random.v3.Random", (Field("locality_lb_config", 1, "message", schema=_LOCALITY_LB),)),
        table(
            _LB + "ring_hash.v3.RingHash",
            (
                Field("minimum_ring_size", 2, "wrapper", value="uint64"),
                Field("maximum_ring_size", 3, "wrapper", value="uint64"),
                Field("locality_weighted_lb_config", 7, "raw"),
            ),
            "1 hash_function 4 use_hostname_for_hashing 5 hash_balance_factor 6 consistent_hashing_lb_config",
        ),
        table(
            _LB + "maglev.v3.Maglev",
            (Field("table_size", 1, "wrapper", value="uint64"), Field("locality_weighted_lb_config", 3, "raw")),
            "2 consistent_hashing_lb_config",
        ),
        table(
            _LB + "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin",
            (),
            "1 enable_oob_load_report 2 oob_reporting_period 3 blackout_period 4 weight_expiration_period"
            " 5 weight_update_period 6 error_utilization_penalty 7 metric_names_for_computing_utilization"
            " 8 slow_start_config",
        ),
        table(_LB + "pick_first.v3.PickFirst", (), "1 shuffle_address_list"),
        table(_LB + "cluster_provided.v3.ClusterProvided", ()),
        table(_LB + "wrr_locality.v3.WrrLocality", (Field("endpoint_picking_policy", 1, "message", schema=_POLICIES),)),
    )
}
"""The balancing policies that we can read, by the name of their configuration message."""
