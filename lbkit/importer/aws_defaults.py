"""Fields and attributes of AWS load balancers that may be left out of an experiment without a note."""

from __future__ import annotations

# Fields that do not affect traffic.
SILENT = frozenset(
    """
    ARN AccountId AdministrativeState AnomalyDetection AvailabilityZones CanonicalHostedZoneId CreatedTime
    DNSName Description EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic HealthCheckPort HostHeaderConfig
    IpAddressType IsDefault Ipv4IpamPoolId ListenerArn LoadBalancerArn LoadBalancerArns MutualAuthentication
    NextMarker PathPatternConfig ProtocolVersion Reason RuleArn RuleId Scheme SecurityGroups SourceIpConfig
    SslPolicy State SubnetMappings Subnets Tags TargetGroupARN TargetGroupArn TargetGroupName VpcId
    """.split()  # noqa: SIM905
)
# Attributes that are not imported -> their default.
_DEFAULTS = {
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "deregistration_delay.connection_termination.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "idle_timeout.timeout_seconds": "60",
    "lambda.multi_value_headers.enabled": "false",
    "preserve_client_ip.enabled": "true",
    "proxy_protocol_v2.enabled": "false",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_health_state.unhealthy.connection_termination.enabled": "true",
    "target_health_state.unhealthy.draining_interval_seconds": "0",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
_OTHER_PREFIXES = ("access_logs.", "connection_logs.", "deletion_protection.", "health_check_logs.", "ipv6.")


def says_nothing(key: str, text: str) -> bool:
    """Return whether an attribute has its default or does not affect traffic."""
    return key.startswith(_OTHER_PREFIXES) or text in ("", _DEFAULTS.get(key))
