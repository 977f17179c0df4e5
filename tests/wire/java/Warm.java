/*
 * Warm.java - loads what Kafka's tools load, without a broker, so that the JVM can lay it out in an archive (jvm.py).
 *
 * Clients of every kind are made, look in vain for a broker, and are closed; the words are names of classes to load.
 */
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Warm {
    public static void main(String[] names) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", "127.0.0.1:1"); // nobody listens
        settings.put("group.id", "warm");
        for (String name : names) {
            try {
                Class.forName(name);
            } catch (ClassNotFoundException | LinkageError absent) {
                System.err.println("no " + name + ": " + absent); // other jars; the rest is worth it all the same
            }
        }
        for (ApiKeys api : ApiKeys.clientApis()) {
            api.messageType.requestSchemas();
            api.messageType.responseSchemas();
            api.messageType.newRequest();
            api.messageType.newResponse();
        }
        StringDeserializer from = new StringDeserializer();
        for (String protocol : List.of("classic", "consumer")) {
            settings.put("group.protocol", protocol);
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, from, from)) {
                consumer.subscribe(List.of("t"));
                consumer.poll(Duration.ofMillis(50));
            }
        }
        StringSerializer to = new StringSerializer();
        new KafkaProducer<>(settings, to, to).close(Duration.ZERO);
        Admin admin = Admin.create(settings);
        admin.listTopics();
        admin.close(Duration.ZERO);
    }
}
