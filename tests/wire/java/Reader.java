/*
 * Reader.java - a member of a consumer group: java -cp LIBS Reader.java BOOTSTRAP TOPIC GROUP KEY=VALUE...
 *
 * Prints "PARTITION OFFSET VALUE" of each record and commits what it printed. A commit that comes too late for its
 * generation is no problem, the next owner reads again; anything else ends it with code 1.
 */
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Reader {
    public static void main(String[] words) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[0]);
        settings.put("group.id", words[2]);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        for (int i = 3; i < words.length; i++)
            settings.put(words[i].split("=", 2)[0], words[i].split("=", 2)[1]);
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.of(words[1]));
            while (true) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200)))
                    System.out.println(record.partition() + " " + record.offset() + " " + record.value());
                System.out.flush();
                try {
                    consumer.commitSync(Duration.ofSeconds(5));
                } catch (CommitFailedException | RebalanceInProgressException | TimeoutException late) {
                    System.err.println(late);
                }
            }
        } catch (Throwable problem) {
            problem.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }
}
