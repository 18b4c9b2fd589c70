output "inventory" {
  description = "The inventory for ansible-playbook -i."
  value       = local_file.inventory.filename
}

output "manager" {
  description = "The manager, to watch a run: ssh -L 8091:localhost:8091 -L 9090:localhost:9090 root@ADDRESS."
  value       = digitalocean_droplet.manager.ipv4_address
}

output "target" {
  description = "The private address of the machine under load."
  value       = digitalocean_droplet.target.ipv4_address_private
}
