output "functions" {
  description = "The URN of each function."
  value       = { for name, function in huaweicloud_fgs_function.function : name => function.urn }
}

output "agencies" {
  description = "The agency whose rights each function has."
  value       = { for name, agency in huaweicloud_identity_trust_agency.function : name => agency.name }
}

output "failures" {
  description = "The URN of the topic that is told of events that failed for good."
  value       = huaweicloud_smn_topic.failures.topic_urn
}

output "logs" {
  description = "The LTS group with a stream for each function."
  value       = huaweicloud_lts_group.logs.group_name
}
