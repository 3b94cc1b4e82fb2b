from meshkit.trust import spiffe_id


def test_a_workload_is_named_by_trust_domain_namespace_and_service_account() -> None:
    assert spiffe_id("cluster.local", "demo", "app") == "spiffe://cluster.local/ns/demo/sa/app"
