"""What of a load balancer's definition says nothing about traffic, or nothing that is not usual."""

from __future__ import annotations

# Fields that say nothing about traffic.
SILENT = frozenset(
    """
    ARN AccountId AdministrativeState AnomalyDetection AvailabilityZones CanonicalHostedZoneId CreatedTime
    DNSName Description EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic HealthCheckPort HostHeaderConfig
    IpAddressType IsDefault Ipv4IpamPoolId ListenerArn LoadBalancerArn LoadBalancerArns MutualAuthentication
    NextMarker PathPatternConfig ProtocolVersion Reason RuleArn RuleId Scheme SecurityGroups SourceIpConfig
    SslPolicy State SubnetMappings Subnets Tags TargetGroupARN TargetGroupArn TargetGroupName VpcId
    """.split()  # noqa: SIM905
)
# Attributes that are not imported -> what they are unless they are set.
_USUAL = {
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
_ABOUT_OTHERS = ("access_logs.", "connection_logs.", "deletion_protection.", "health_check_logs.", "ipv6.")


def says_nothing(key: str, text: str) -> bool:
    """Return whether an attribute may be left out without a word."""
    return key.startswith(_ABOUT_OTHERS) or text in ("", _USUAL.get(key))
