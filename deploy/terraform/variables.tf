variable "name" {
  description = "First part of every name."
  type        = string
  default     = "realtime"
}

variable "region" {
  description = "Data center of all machines."
  type        = string
  default     = "fra1"
}

variable "image" {
  description = "Debian 12 or Ubuntu 24.04: loadgen needs Python 3.11."
  type        = string
  default     = "debian-12-x64"
}

variable "ssh_keys" {
  description = "Names of SSH keys in the account that may log in as root."
  type        = list(string)

  validation {
    condition     = length(var.ssh_keys) > 0
    error_message = "Name at least one key to log in with: doctl compute ssh-key list."
  }
}

variable "admin_cidrs" {
  description = "Networks from which ssh is allowed, as in [\"203.0.113.7/32\"]."
  type        = list(string)
}

variable "network" {
  description = "Addresses of the private network; fleet_network in deploy/ansible is the same."
  type        = string
  default     = "10.114.0.0/20"
}

variable "clients" {
  description = "Client machines; the reference run had 16, with 64,000 connections each."
  type        = number
  default     = 16
}

variable "client_size" {
  description = "4 cores and 16 GB, as in the reference run."
  type        = string
  default     = "g-4vcpu-16gb"
}

variable "target_size" {
  description = "32 cores and 128 GB, as in the reference run."
  type        = string
  default     = "g-32vcpu-128gb"
}

variable "manager_size" {
  description = "Enough for the coordinator, which uses little, and Prometheus."
  type        = string
  default     = "s-2vcpu-4gb"
}
